// What a local certainly is: a null pointer, zero, an empty container. Only straight-line certainty counts: a fact is dropped where
// the variable is written, its address leaves, a condition asks about it, or a loop ahead may change it. What is left proves
// undefined behaviour (spec 07 section 4, D6).
#include "analyzer/callgraph/function_lowering.h"

namespace lockstep::analyzer {

using namespace clang;

namespace {

void CollectLocals(const Stmt* stmt, std::set<const VarDecl*>* found) {
  if (stmt == nullptr) return;
  if (const auto* ref = dyn_cast<DeclRefExpr>(stmt)) {
    if (const auto* variable = dyn_cast<VarDecl>(ref->getDecl())) found->insert(variable);
  }
  for (const Stmt* child : stmt->children()) CollectLocals(child, found);
}

// Variables that a statement does more with than read their value.
void CollectChanged(const Stmt* stmt, bool loaded, std::set<const VarDecl*>* found) {
  if (stmt == nullptr) return;
  if (const auto* ref = dyn_cast<DeclRefExpr>(stmt)) {
    if (const auto* variable = dyn_cast<VarDecl>(ref->getDecl()); variable != nullptr && !loaded) found->insert(variable);
    return;
  }
  const auto* cast = dyn_cast<CastExpr>(stmt);
  const bool load = cast != nullptr && cast->getCastKind() == CK_LValueToRValue;
  const bool passes = isa<ParenExpr>(stmt) || isa<ArraySubscriptExpr>(stmt) || cast != nullptr;
  for (const Stmt* child : stmt->children()) CollectChanged(child, load || (passes && loaded), found);
}

bool IsSmartPointer(const std::string& record) { return record == "std::unique_ptr" || record == "std::shared_ptr"; }
bool IsSequence(const std::string& record) { return record == "std::vector" || record == "std::deque" || record == "std::list"; }

}  // namespace

void FunctionLowering::DeclareDefinite(const VarDecl* variable) {
  const QualType type = variable->getType();
  const Expr* init = variable->getInit();
  if (!variable->isLocalVarDecl() || variable->isStaticLocal()) return;
  if (type->isConstantArrayType() && init == nullptr && context_.getBaseElementType(type)->isScalarType()) {
    env_.uninitialized.insert({variable, nullptr});
    return;
  }
  if (init == nullptr || init->isValueDependent()) return;
  if (type->isPointerType()) {
    if (init->isNullPointerConstant(context_, Expr::NPC_ValueDependentIsNotNull) != Expr::NPCK_NotNull) env_.definite[variable] = Definite::kNull;
    return;
  }
  if (type->isIntegerType() && !type.isConstQualified()) {
    Expr::EvalResult value;
    if (init->EvaluateAsInt(value, context_) && value.Val.getInt() == 0) env_.definite[variable] = Definite::kZero;
    return;
  }
  const auto* construct = dyn_cast<CXXConstructExpr>(init->IgnoreImplicit());
  if (construct == nullptr) return;
  const bool nothing = std::all_of(construct->arg_begin(), construct->arg_end(), [](const Expr* arg) { return isa<CXXDefaultArgExpr>(arg); });
  const std::string record = UnitBuilder::RecordName(type);
  const bool nullopt = construct->getNumArgs() == 1 && UnitBuilder::RecordName(construct->getArg(0)->getType()) == "std::nullopt_t";
  const bool null = construct->getNumArgs() == 1 && construct->getArg(0)->getType()->isNullPtrType();
  if (construct->isListInitialization() && !nothing) return;
  if (IsSmartPointer(record) && (nothing || null)) env_.definite[variable] = Definite::kNull;
  else if ((IsSequence(record) && nothing) || (record == "std::optional" && (nothing || nullopt))) env_.definite[variable] = Definite::kEmpty;
}

void FunctionLowering::ForgetChecked(const Stmt* condition) {
  if (env_.definite.empty()) return;
  std::set<const VarDecl*> found;
  CollectLocals(condition, &found);
  for (const auto* variable : found) env_.definite.erase(variable);
}

void FunctionLowering::ForgetChanged(const Stmt* loop) {
  if (env_.definite.empty()) return;
  std::set<const VarDecl*> found;
  CollectChanged(loop, false, &found);
  for (const auto* variable : found) env_.definite.erase(variable);
}

void FunctionLowering::ForgetLocal(const VarDecl* variable) {
  env_.definite.erase(variable);
  // Whoever gets the address of an array or a structure may fill it.
  const bool array = variable->getType()->isArrayType();
  std::erase_if(env_.uninitialized, [&](const Slot& slot) { return slot.first == variable && (array || slot.second != nullptr); });
}

bool FunctionLowering::IsDefinite(const Expr* expr, Definite what) const {
  const auto* ref = dyn_cast<DeclRefExpr>(expr->IgnoreParenImpCasts());
  const auto* variable = ref != nullptr ? dyn_cast<VarDecl>(ref->getDecl()) : nullptr;
  const auto it = variable != nullptr ? env_.definite.find(variable) : env_.definite.end();
  return it != env_.definite.end() && it->second == what;
}

// Whether the function does nothing with a variable of its own but read it.
bool FunctionLowering::OnlyReads(const VarDecl* variable) const {
  if (declaration_ == nullptr || declaration_->getBody() == nullptr) return false;
  std::set<const VarDecl*> changed;
  CollectChanged(declaration_->getBody(), false, &changed);
  return changed.count(variable) == 0;
}

// Calls that need an element, an object or an index in range.
void FunctionLowering::OnDefiniteCall(const CallSite& site) {
  if (site.object == nullptr || isa<CXXConstructorDecl>(site.callee)) return;
  const std::string record = UnitBuilder::RecordName(site.object->getType());
  const auto op = site.callee->getOverloadedOperator();
  const std::string name = site.callee->getNameAsString();
  const auto report = [&](const std::string& what) {
    AddHazard(site.expr, site.expr->getExprLoc(), "determinism-undefined-behavior", what, HazardMode::kEffect);
  };
  const bool dereferences = op == OO_Star || op == OO_Arrow;
  if (dereferences && IsSmartPointer(record) && IsDefinite(site.object, Definite::kNull)) report("null pointer dereferenced");
  if (dereferences && record == "std::optional" && IsDefinite(site.object, Definite::kEmpty)) report("empty std::optional dereferenced");
  if (IsSequence(record) && (op == OO_Subscript || name == "front" || name == "back" || name == "pop_back" || name == "pop_front") &&
      IsDefinite(site.object, Definite::kEmpty)) {
    report("element of an empty " + record);
  }
  if (record == "std::array" && op == OO_Subscript && site.args.size() == 1) {
    const auto* special = dyn_cast_or_null<ClassTemplateSpecializationDecl>(site.object->getType().getNonReferenceType()->getAsCXXRecordDecl());
    Expr::EvalResult index;
    if (special != nullptr && special->getTemplateArgs().size() == 2 && special->getTemplateArgs()[1].getKind() == TemplateArgument::Integral &&
        site.args.front()->EvaluateAsInt(index, context_) &&
        index.Val.getInt().getExtValue() >= special->getTemplateArgs()[1].getAsIntegral().getExtValue()) {
      report("index beyond the end of std::array");
    }
  }
}

}  // namespace lockstep::analyzer
