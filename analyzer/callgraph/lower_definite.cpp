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

namespace {

// Which variables decide about, and are set beside, the places that mention one variable. A read under a flag that was set where the
// variable was set is no read of an indeterminate value.
class Guards {
 public:
  Guards(const SourceManager& sources, SourceLocation use) : sources_(sources), use_(sources.getExpansionLoc(use)) {}

  // The variable that the use names.
  const VarDecl* Find(const Stmt* stmt) {
    if (stmt == nullptr) return nullptr;
    if (const auto* ref = dyn_cast<DeclRefExpr>(stmt); ref != nullptr && sources_.getExpansionLoc(ref->getLocation()) == use_) {
      return dyn_cast<VarDecl>(ref->getDecl());
    }
    for (const Stmt* child : stmt->children()) {
      if (const auto* found = Find(child)) return found;
    }
    return nullptr;
  }
  void Walk(const Stmt* stmt, const VarDecl* variable, std::set<const VarDecl*> around) {
    if (stmt == nullptr) return;
    if (const auto* branch = dyn_cast<IfStmt>(stmt)) {
      Walk(branch->getCond(), variable, around);
      CollectLocals(branch->getCond(), &around);
    } else if (const auto* choice = dyn_cast<ConditionalOperator>(stmt)) {
      CollectLocals(choice->getCond(), &around);
    } else if (const auto* selection = dyn_cast<SwitchStmt>(stmt)) {
      CollectLocals(selection->getCond(), &around);
    } else if (const auto* both = dyn_cast<BinaryOperator>(stmt); both != nullptr && both->isLogicalOp()) {
      CollectLocals(both->getLHS(), &around);
    }
    if (const auto* block = dyn_cast<CompoundStmt>(stmt)) {
      std::set<const VarDecl*> beside;
      for (const Stmt* child : block->body()) Assigned(child, &beside);
      const bool sets = beside.count(variable) != 0;
      if (sets) set_with_.insert(beside.begin(), beside.end());
      for (const Stmt* child : block->body()) {
        Walk(child, variable, around);
        // Whoever comes past an early exit knows what its condition asked.
        const auto* exit = dyn_cast<IfStmt>(child);
        if (exit != nullptr && Exits(exit->getThen())) CollectLocals(exit->getCond(), &around);
      }
      return;
    }
    if (const auto* ref = dyn_cast<DeclRefExpr>(stmt); ref != nullptr && ref->getDecl() == variable) {
      if (sources_.getExpansionLoc(ref->getLocation()) == use_) read_under_ = around;
      else set_with_.insert(around.begin(), around.end());
    }
    for (const Stmt* child : stmt->children()) Walk(child, variable, around);
  }
  bool Meet(const VarDecl* variable) const {
    return std::any_of(read_under_.begin(), read_under_.end(), [&](const VarDecl* one) { return one != variable && set_with_.count(one) != 0; });
  }

 private:
  static void Assigned(const Stmt* stmt, std::set<const VarDecl*>* found) {
    const auto* expr = dyn_cast_or_null<Expr>(stmt);
    if (expr == nullptr) return;
    const Expr* plain = expr->IgnoreParenImpCasts();
    if (const auto* cleanups = dyn_cast<ExprWithCleanups>(plain)) plain = cleanups->getSubExpr()->IgnoreParenImpCasts();
    const Expr* target = nullptr;
    if (const auto* binary = dyn_cast<BinaryOperator>(plain); binary != nullptr && binary->isAssignmentOp()) target = binary->getLHS();
    if (const auto* unary = dyn_cast<UnaryOperator>(plain); unary != nullptr && unary->isIncrementDecrementOp()) target = unary->getSubExpr();
    if (const auto* call = dyn_cast<CXXOperatorCallExpr>(plain); call != nullptr && call->isAssignmentOp()) target = call->getArg(0);
    const auto* ref = target != nullptr ? dyn_cast<DeclRefExpr>(target->IgnoreParenImpCasts()) : nullptr;
    if (const auto* variable = ref != nullptr ? dyn_cast<VarDecl>(ref->getDecl()) : nullptr) found->insert(variable);
  }
  static bool Exits(const Stmt* stmt) {
    if (stmt == nullptr) return false;
    if (isa<ReturnStmt>(stmt) || isa<CoreturnStmt>(stmt) || isa<BreakStmt>(stmt) || isa<ContinueStmt>(stmt)) return true;
    if (const auto* expr = dyn_cast<Expr>(stmt)) return isa<CXXThrowExpr>(expr->IgnoreImplicit());
    const auto* block = dyn_cast<CompoundStmt>(stmt);
    return block != nullptr && !block->body_empty() && Exits(block->body_back());
  }
  const SourceManager& sources_;
  SourceLocation use_;
  std::set<const VarDecl*> set_with_;
  std::set<const VarDecl*> read_under_;
};

}  // namespace

// Whether the conditions around a read exclude the paths on which the variable was not set.
bool FunctionLowering::SetTogether(SourceLocation use) const {
  Guards guards(context_.getSourceManager(), use);
  const Stmt* body = declaration_->getBody();
  const VarDecl* variable = guards.Find(body);
  if (variable == nullptr) return false;
  guards.Walk(body, variable, {});
  return guards.Meet(variable);
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
