// Rules whose trigger is a shape of code: types, comparators, captures, awaits, padding, uninitialised members, pragmas. Each
// adds a local hazard; whether it matters is decided by the link step.
#include "analyzer/callgraph/function_lowering.h"

#include <clang/AST/DeclFriend.h>

namespace lockstep::analyzer {

using namespace clang;

Site FunctionLowering::SiteOf(SourceLocation at) {
  if (implicit_at_.isValid() && declaration_ != nullptr) {
    // A member that no initialiser names stands where it is declared.
    const auto* constructor = dyn_cast<CXXConstructorDecl>(declaration_);
    if (constructor != nullptr && (at == constructor->getLocation() || at == constructor->getParent()->getLocation())) at = implicit_at_;
  }
  return unit_.SiteOf(at);
}

uint32_t FunctionLowering::AddHazardAt(const Site& site, std::string_view rule, std::string_view what, HazardMode mode) {
  const uint32_t rule_index = unit_.Str({rule.data(), rule.size()});
  for (uint32_t i = 0; i < out_.hazards.size(); ++i) {
    if (out_.hazards[i].rule == rule_index && out_.hazards[i].site == site) return i;
  }
  Hazard hazard{.rule = rule_index, .what = unit_.Str({what.data(), what.size()}), .site = site, .mode = mode, .edits = {}};
  out_.hazards.push_back(std::move(hazard));
  return static_cast<uint32_t>(out_.hazards.size() - 1);
}

uint32_t FunctionLowering::AddHazard(const Stmt* memo, SourceLocation at, std::string_view rule, std::string_view what,
                                     HazardMode mode, bool order) {
  const auto key = std::make_pair(static_cast<const void*>(memo), std::string(rule));
  if (auto it = hazard_memo_.find(key); it != hazard_memo_.end()) return it->second;
  const uint32_t index = AddHazardAt(SiteOf(at), rule, what, mode);
  out_.hazards[index].order = out_.hazards[index].order || order;
  hazard_memo_.emplace(key, index);
  return index;
}

void FunctionLowering::AddEdit(uint32_t hazard, CharSourceRange range, llvm::StringRef text) {
  bool ok = false;
  const Edit edit = unit_.EditOf(range, text, &ok);
  if (!ok) return;
  for (const auto& known : out_.hazards[hazard].edits) {
    if (known.offset == edit.offset && known.file == edit.file) return;
  }
  out_.hazards[hazard].edits.push_back(edit);
}

bool FunctionLowering::IsTask(QualType type) const {
  return unit_.HasTypeTrait(type, Trait::kTask) || unit_.HasTypeTrait(type, Trait::kAwaitable);
}

// ---- Types: order by pointer (C3), by owner (C6), comparators in the type (C8, C7) ----

namespace {

bool IsSmartPointer(QualType type) {
  const std::string name = UnitBuilder::RecordName(type);
  return name == "std::shared_ptr" || name == "std::weak_ptr" || name == "std::unique_ptr" || name == "boost::shared_ptr" ||
         name == "boost::intrusive_ptr";
}

const ClassTemplateSpecializationDecl* Specialization(QualType type) {
  if (type.isNull()) return nullptr;
  return dyn_cast_or_null<ClassTemplateSpecializationDecl>(type.getNonReferenceType()->getAsCXXRecordDecl());
}

QualType TypeArgument(const ClassTemplateSpecializationDecl* special, unsigned index) {
  if (special == nullptr || special->getTemplateArgs().size() <= index) return {};
  const auto& argument = special->getTemplateArgs()[index];
  return argument.getKind() == TemplateArgument::Type ? argument.getAsType() : QualType();
}

}  // namespace

void FunctionLowering::OnComparatorType(QualType type, SourceLocation at) {
  const auto* special = Specialization(type);
  if (special == nullptr || unit_.IsSystem(at)) return;
  const std::string name = UnitBuilder::Name(special);
  if (name == "std::owner_less") {
    AddHazardAt(unit_.SiteOf(at), "determinism-owner-order", name, HazardMode::kEffect);
    return;
  }
  if (name == "std::less" || name == "std::greater") {
    if (TypeArgument(special, 0)->isPointerType()) {
      AddHazardAt(unit_.SiteOf(at), "determinism-pointer-order", name + " over a pointer", HazardMode::kEffect);
    }
    return;
  }
  const bool tree = IsOrderedContainer(unit_, type);
  const bool queue = name == "std::priority_queue";
  if (!tree && !queue) return;
  const QualType key = TypeArgument(special, 0);
  if (key.isNull()) return;
  const bool map = name.find("map") != std::string::npos || name.find("Map") != std::string::npos;
  const QualType comparator = TypeArgument(special, queue ? 2 : (map ? 2 : 1));
  const std::string comparator_name = UnitBuilder::RecordName(comparator);
  const bool standard = comparator.isNull() || comparator_name == "std::less" || comparator_name == "std::greater";
  if (comparator_name == "std::owner_less") {
    AddHazardAt(unit_.SiteOf(at), "determinism-owner-order", name + " ordered by std::owner_less", HazardMode::kEffect);
  } else if (standard && key->isPointerType() && !key->getPointeeType()->isFunctionType()) {
    AddHazardAt(unit_.SiteOf(at), "determinism-pointer-order", name + " ordered by pointer", HazardMode::kEffect);
  } else if (standard && IsSmartPointer(key)) {
    AddHazardAt(unit_.SiteOf(at), "determinism-owner-order", name + " ordered by smart pointer", HazardMode::kEffect);
  } else if (standard && IsFloating(key)) {
    AddHazardAt(unit_.SiteOf(at), "determinism-float-decision", name + " keyed by a floating-point value", HazardMode::kEffect);
  } else if (standard && UnitBuilder::RecordName(key) == "std::type_index") {
    AddHazardAt(unit_.SiteOf(at), "determinism-type-name", name + " ordered by std::type_index", HazardMode::kEffect);
  } else if (!standard) {
    const auto* record = comparator->getAsCXXRecordDecl();
    if (record == nullptr || !record->hasDefinition()) return;
    for (const auto* method : record->methods()) {
      if (method->getOverloadedOperator() == OO_Call) OnComparator(method, queue, at, nullptr);
    }
  }
}

void FunctionLowering::OnVariable(const VarDecl* variable) {
  const QualType type = variable->getType();
  if (unit_.IsSystem(variable->getLocation())) return;
  if (variable->isLocalVarDecl() && variable->getTLSKind() != VarDecl::TLS_None) {
    AddHazardAt(unit_.SiteOf(variable->getLocation()), "determinism-thread-local", variable->getNameAsString(), HazardMode::kEffect);
    return;
  }
  if (variable->isStaticLocal()) {
    const bool constant_type = type.isConstQualified() || (type->isReferenceType() && type->getPointeeType().isConstQualified());
    const bool constant_init = !variable->hasInit() || variable->hasConstantInitialization();
    if (variable->isConstexpr() || (constant_type && constant_init)) return;
    // A table that was not declared const but is only read.
    if (constant_init && variable->hasInit() && OnlyReads(variable)) return;
    const uint32_t hazard = AddHazardAt(unit_.SiteOf(variable->getLocation()), "determinism-function-static",
                                        "static " + variable->getNameAsString(), HazardMode::kEffect);
    if (constant_type) {
      out_.hazards[hazard].severity = 2;
      // A constant that is made anew has the same value; only the order of initialisation is gone.
      const llvm::StringRef spelled = unit_.SourceText(SourceRange(variable->getBeginLoc(), variable->getLocation()));
      if (spelled.starts_with("static ") && !type->isReferenceType()) {
        AddEdit(hazard, CharSourceRange::getCharRange(variable->getBeginLoc(), variable->getBeginLoc().getLocWithOffset(7)), "");
      }
    }
    return;
  }
  const bool writable = type->isPointerType() && !type->getPointeeType().isConstQualified();
  if (variable->isLocalVarDecl() && (writable || IsSmartPointer(type))) unit_.NoteAliases(type);
  OnComparatorType(type, variable->getLocation());
  if (variable->isLocalVarDecl() && IsTask(type) && !type->isReferenceType()) task_variables_.push_back(variable);
  const std::string record = UnitBuilder::RecordName(type);
  // Engines seeded by nothing, or by something that a replay does not see.
  if (variable->isLocalVarDecl() && variable->getInit() != nullptr) {
    const Expr* init = variable->getInit()->IgnoreImplicit();
    const auto* construct = dyn_cast<CXXConstructExpr>(init);
    const bool overwrite = [&] {
      const auto* call = dyn_cast<CallExpr>(init->IgnoreParenImpCasts());
      if (call == nullptr || call->getDirectCallee() == nullptr) return false;
      const std::string name = UnitBuilder::Name(call->getDirectCallee());
      return name == "std::make_unique_for_overwrite" || name == "std::make_shared_for_overwrite";
    }();
    const auto* fresh = dyn_cast<CXXNewExpr>(init->IgnoreParenImpCasts());
    const bool raw_new = fresh != nullptr && fresh->getInitializer() == nullptr && fresh->getAllocatedType()->isScalarType();
    if (overwrite || raw_new) env_.uninitialized.insert({variable, nullptr});
    if (construct != nullptr && construct->getConstructor()->isTrivial() && construct->getConstructor()->isDefaultConstructor() &&
        !construct->requiresZeroInitialization() && !construct->isListInitialization()) {
      if (const auto* class_type = type->getAsCXXRecordDecl(); class_type != nullptr && !class_type->isUnion()) {
        for (const auto* field : class_type->fields()) {
          if (field->getType()->isScalarType() && !field->hasInClassInitializer()) env_.uninitialized.insert({variable, field});
        }
      }
    }
  }
  // Views and iterators into something that others can change while we are suspended.
  if (variable->isLocalVarDecl() && variable->getInit() != nullptr) {
    const bool view = record == "std::basic_string_view" || record == "std::span" || record.find("terator") != std::string::npos;
    const Expr* init = variable->getInit()->IgnoreImplicit();
    const Place place = PlaceOf(init);
    const bool foreign = place.kind == Place::kField || place.kind == Place::kParam || place.kind == Place::kGlobal || place.captured;
    const bool element = type->isReferenceType() && place.kind != Place::kNone && !place.exact && !isa<MemberExpr>(init->IgnoreParenImpCasts());
    if (view && (foreign || place.kind == Place::kLocal)) {
      if (foreign) borrowed_.insert(variable);
    } else if (element && foreign) {
      borrowed_.insert(variable);
    }
    // A view of a temporary.
    if (view && place.kind == Place::kNone) {
      const Expr* source = variable->getInit()->IgnoreImplicit();
      if (const auto* conversion = dyn_cast<CXXMemberCallExpr>(source->IgnoreParenImpCasts())) {
        const Expr* object = conversion->getImplicitObjectArgument();
        if (object != nullptr && object->IgnoreParenImpCasts()->isPRValue()) borrowed_.insert(variable);
        if (object != nullptr && isa<MaterializeTemporaryExpr>(object->IgnoreParens())) borrowed_.insert(variable);
      }
    }
  }
}

void FunctionLowering::OnGlobal(const VarDecl* variable, const Expr* at) {
  const std::string name = UnitBuilder::Name(variable);
  const bool own = !unit_.IsSystem(variable->getLocation()) && !variable->isExternC() &&
                   (variable->hasDefinition() != VarDecl::DeclarationOnly || !variable->isExternallyVisible());
  if (const Model* model = unit_.models().FindVariable(name, own)) {
    AddHazard(at, at->getExprLoc(), model->rule, name, model->mode);
    Significant();
    return;
  }
  if (unit_.IsSystem(variable->getLocation())) return;
  if (variable->getTLSKind() != VarDecl::TLS_None) {
    AddHazard(at, at->getExprLoc(), "determinism-thread-local", name, HazardMode::kEffect);
    return;
  }
  const QualType type = variable->getType();
  const bool constant = variable->isConstexpr() || type.isConstQualified() ||
                        (type->isReferenceType() && type->getPointeeType().isConstQualified()) ||
                        (context_.getAsArrayType(type) != nullptr && context_.getBaseElementType(type).isConstQualified());
  unit_.EnqueueInitializer(variable);
  const VarDecl* initialized = nullptr;
  const bool has_init = variable->getAnyInitializer(initialized) != nullptr;
  if (has_init && (!variable->isConstexpr() || !unit_.facts().stamps.empty())) {
    const auto key = std::make_pair(static_cast<const void*>(variable), 2U);
    const auto [it, added] = call_memo_.emplace(key, static_cast<uint32_t>(out_.calls.size()));
    if (added) {
      Call call;
      call.site = unit_.SiteOf(at->getExprLoc());
      call.callee = unit_.Str(unit_.InitializerKey(initialized));
      call.name = unit_.Str("initialiser of " + name);
      call.implicit = true;
      out_.calls.push_back(std::move(call));
    }
  }
  if (!constant) {
    const std::string record = UnitBuilder::RecordName(type);
    static const std::set<std::string> kSynchronisation = {
        "std::mutex", "std::recursive_mutex", "std::shared_mutex", "std::timed_mutex", "std::condition_variable", "std::once_flag",
        "std::condition_variable_any", "std::counting_semaphore", "std::latch", "std::barrier", "absl::Mutex", "std::shared_timed_mutex"};
    if (kSynchronisation.count(record) != 0) return;
    AddHazard(at, at->getExprLoc(), "determinism-mutable-global", name, HazardMode::kEffect);
    AddEffect(EffectKind::kReadGlobal, name, at->getExprLoc());
    return;
  }
  // What calls go to (`const wf::Activity<...> kCharge{"charge"}`) is written down that way; its initialiser is looked at as any.
  const bool call_target = llvm::StringRef(UnitBuilder::RecordName(type)).starts_with("lockstep::workflow::");
  if (has_init && initialized != nullptr && !initialized->isConstexpr() && !initialized->hasConstantInitialization() &&
      !type->isReferenceType() && !call_target) {
    const uint32_t hazard = AddHazardAt(unit_.SiteOf(initialized->getLocation()), "determinism-static-init-order", name, HazardMode::kEffect);
    (void)hazard;
  }
}

namespace {

bool IsLongDouble(QualType type) {
  const auto* builtin = type.getNonReferenceType()->getAs<BuiltinType>();
  return builtin != nullptr && builtin->getKind() == BuiltinType::LongDouble;
}

bool Contains(const Stmt* tree, const Stmt* wanted) {
  if (tree == nullptr) return false;
  if (tree == wanted) return true;
  return std::any_of(tree->child_begin(), tree->child_end(), [&](const Stmt* child) { return Contains(child, wanted); });
}

// What a pointer was made from: the variable or member that it started as, through arithmetic and local initialisers.
const ValueDecl* PointerBase(const Expr* expr, int depth = 0) {
  if (expr == nullptr || depth > 12) return nullptr;
  expr = expr->IgnoreParenImpCasts();
  if (const auto* unary = dyn_cast<UnaryOperator>(expr)) {
    if (unary->getOpcode() == UO_AddrOf) {
      const Expr* object = unary->getSubExpr()->IgnoreParenImpCasts();
      if (const auto* subscript = dyn_cast<ArraySubscriptExpr>(object)) return PointerBase(subscript->getBase(), depth + 1);
      if (const auto* call = dyn_cast<CXXOperatorCallExpr>(object); call != nullptr && call->getOperator() == OO_Subscript) {
        return PointerBase(call->getArg(0), depth + 1);
      }
      return nullptr;
    }
    return unary->isIncrementDecrementOp() ? PointerBase(unary->getSubExpr(), depth + 1) : nullptr;
  }
  if (const auto* binary = dyn_cast<BinaryOperator>(expr); binary != nullptr && binary->isAdditiveOp()) {
    const Expr* pointer = binary->getLHS()->getType()->isPointerType() || binary->getLHS()->getType()->isArrayType() ? binary->getLHS() : binary->getRHS();
    return PointerBase(pointer, depth + 1);
  }
  if (const auto* member = dyn_cast<MemberExpr>(expr)) return member->getMemberDecl();
  if (const auto* call = dyn_cast<CXXMemberCallExpr>(expr)) {
    const auto* method = call->getMethodDecl();
    if (method == nullptr || !method->getDeclName().isIdentifier()) return nullptr;
    const llvm::StringRef name = method->getName();
    if (name == "data" || name == "begin" || name == "end" || name == "get" || name == "c_str") {
      return PointerBase(call->getImplicitObjectArgument(), depth + 1);
    }
    return nullptr;
  }
  if (const auto* ref = dyn_cast<DeclRefExpr>(expr)) {
    const auto* variable = dyn_cast<VarDecl>(ref->getDecl());
    if (variable == nullptr) return nullptr;
    if (variable->getType()->isPointerType() && variable->isLocalVarDecl() && variable->getInit() != nullptr) {
      if (const auto* base = PointerBase(variable->getInit(), depth + 1)) return base;
    }
    return variable;
  }
  return nullptr;
}

bool SameArray(const Expr* left, const Expr* right) {
  const auto* a = PointerBase(left);
  return a != nullptr && a == PointerBase(right);
}

}  // namespace

void FunctionLowering::OnComparison(const BinaryOperator* op, LabelSet* labels) {
  const QualType left = op->getLHS()->getType();
  const QualType right = op->getRHS()->getType();
  if (op->isRelationalOp() && left->isPointerType() && right->isPointerType()) {
    // Two positions in one array compare by index: pointers made from one base, and the ends of a scan.
    const bool scan = left->getPointeeType()->isCharType() || std::any_of(scans_.begin(), scans_.end(), [&](const Expr* condition) { return Contains(condition, op); });
    if (!scan && !SameArray(op->getLHS(), op->getRHS())) {
      AddHazard(op, op->getOperatorLoc(), "determinism-pointer-order", "comparison of pointers", HazardMode::kEffect);
    }
  }
  const bool constant_left = op->getLHS()->isEvaluatable(context_);
  const bool constant_right = op->getRHS()->isEvaluatable(context_);
  const QualType plain_left = op->getLHS()->IgnoreParenImpCasts()->getType();
  const QualType plain_right = op->getRHS()->IgnoreParenImpCasts()->getType();
  if ((IsFloating(plain_left) || IsFloating(plain_right)) && !(constant_left && constant_right)) {
    std::erase_if(labels->raw(), [&](Label label) {
      return KindOf(label) == LabelKind::kHazard &&
             unit_.Text(out_.hazards[IndexOf(label)].rule) == "determinism-float-decision";
    });
    labels->Join(HazardLabel(AddHazard(op, op->getOperatorLoc(), "determinism-float-decision", "comparison of floating-point values",
                                       HazardMode::kTaint)));
    if (IsLongDouble(plain_left) || IsLongDouble(plain_right)) {
      labels->Join(HazardLabel(AddHazard(op, op->getOperatorLoc(), "determinism-libm-variance", "long double", HazardMode::kTaint)));
    }
  }
  // Serialised bytes in a comparison.
  for (Label label : *labels) {
    if (KindOf(label) != LabelKind::kHazard) continue;
    Hazard& hazard = out_.hazards[IndexOf(label)];
    if (hazard.mode == HazardMode::kTaint && (hazard.sinks & kSinkCompare) != 0 && hazard.sinks != 0xff) hazard.mode = HazardMode::kEffect;
  }
}

// ---- Comparators (C7, C8) ----

namespace {

struct ComparatorFacts {
  bool or_equal = false;
  SourceLocation or_equal_at;
  bool floats = false;
  SourceLocation floats_at;
  bool writes = false;
  SourceLocation writes_at;
  bool whole = false;      // compares elements as a whole
  bool derived = false;    // compares a computed projection
  std::set<std::string> members;
  bool text = false;       // one of the members is a string
};

// Which parameters of a comparator an expression reads, through local variables made from them: bit i for parameter i.
unsigned Parameters(const Stmt* stmt, const FunctionDecl* comparator, int depth = 0) {
  if (stmt == nullptr || depth > 24) return 0;
  if (const auto* ref = dyn_cast<DeclRefExpr>(stmt)) {
    if (const auto* parameter = dyn_cast<ParmVarDecl>(ref->getDecl())) {
      return parameter->getDeclContext() == comparator ? 1U << parameter->getFunctionScopeIndex() : 0;
    }
    const auto* variable = dyn_cast<VarDecl>(ref->getDecl());
    return variable != nullptr && variable->getDeclContext() == comparator ? Parameters(variable->getInit(), comparator, depth + 1) : 0;
  }
  unsigned found = 0;
  for (const Stmt* child : stmt->children()) found |= Parameters(child, comparator, depth + 1);
  return found;
}

// Whether a comparison holds one element against the other.
bool Between(const Stmt* left, const Stmt* right, const FunctionDecl* comparator) {
  const unsigned a = Parameters(left, comparator);
  const unsigned b = Parameters(right, comparator);
  return a != 0 && b != 0 && a != b;
}

// Collects what a comparator reads and does. Nested calls count as what they return.
void Inspect(const Stmt* stmt, const FunctionDecl* comparator, ComparatorFacts* facts) {
  if (stmt == nullptr) return;
  if (isa<UnaryExprOrTypeTraitExpr>(stmt)) return;
  if (const auto* rewritten = dyn_cast<CXXRewrittenBinaryOperator>(stmt)) {
    const auto parts = rewritten->getDecomposedForm();
    if ((parts.Opcode == BO_LE || parts.Opcode == BO_GE) && Between(parts.LHS, parts.RHS, comparator)) {
      if (!facts->or_equal) facts->or_equal_at = rewritten->getOperatorLoc();
      facts->or_equal = true;
    }
    Inspect(parts.LHS, comparator, facts);
    Inspect(parts.RHS, comparator, facts);
    return;
  }
  if (const auto* binary = dyn_cast<BinaryOperator>(stmt)) {
    const bool between = Between(binary->getLHS(), binary->getRHS(), comparator);
    if (between && (binary->getOpcode() == BO_LE || binary->getOpcode() == BO_GE)) {
      if (!facts->or_equal) facts->or_equal_at = binary->getOperatorLoc();
      facts->or_equal = true;
    }
    if (between && binary->isRelationalOp() && (IsFloating(binary->getLHS()->IgnoreParenImpCasts()->getType()) ||
                                     IsFloating(binary->getRHS()->IgnoreParenImpCasts()->getType()))) {
      facts->floats = true;
      facts->floats_at = binary->getOperatorLoc();
    }
    if (binary->isAssignmentOp()) {
      const Expr* target = binary->getLHS()->IgnoreParenImpCasts();
      const auto* ref = dyn_cast<DeclRefExpr>(target);
      const auto* variable = ref != nullptr ? dyn_cast<VarDecl>(ref->getDecl()) : nullptr;
      const bool local = variable != nullptr && variable->getDeclContext() == comparator && !variable->getType()->isReferenceType();
      if (!local) {
        facts->writes = true;
        facts->writes_at = binary->getOperatorLoc();
      }
    }
  }
  if (const auto* unary = dyn_cast<UnaryOperator>(stmt); unary != nullptr && unary->isIncrementDecrementOp()) {
    const auto* ref = dyn_cast<DeclRefExpr>(unary->getSubExpr()->IgnoreParenImpCasts());
    const auto* variable = ref != nullptr ? dyn_cast<VarDecl>(ref->getDecl()) : nullptr;
    if (variable == nullptr || variable->getDeclContext() != comparator || variable->getType()->isReferenceType()) {
      facts->writes = true;
      facts->writes_at = unary->getOperatorLoc();
    }
  }
  if (const auto* call = dyn_cast<CXXOperatorCallExpr>(stmt)) {
    const bool between = call->getNumArgs() == 2 && Between(call->getArg(0), call->getArg(1), comparator);
    if (between && (call->getOperator() == OO_LessEqual || call->getOperator() == OO_GreaterEqual)) {
      if (!facts->or_equal) facts->or_equal_at = call->getOperatorLoc();
      facts->or_equal = true;
    }
    if (call->isAssignmentOp() || call->getOperator() == OO_PlusPlus || call->getOperator() == OO_MinusMinus) {
      facts->writes = true;
      facts->writes_at = call->getOperatorLoc();
    }
  } else if (const auto* member_call = dyn_cast<CXXMemberCallExpr>(stmt)) {
    const auto* method = member_call->getMethodDecl();
    if (method != nullptr && !method->isConst() && !method->isStatic()) {
      const Expr* object = member_call->getImplicitObjectArgument();
      const auto* ref = object != nullptr ? dyn_cast<DeclRefExpr>(object->IgnoreParenImpCasts()) : nullptr;
      const auto* variable = ref != nullptr ? dyn_cast<VarDecl>(ref->getDecl()) : nullptr;
      const bool local = variable != nullptr && variable->getDeclContext() == comparator;
      if (!local && object != nullptr && !object->getType().isConstQualified()) {
        facts->writes = true;
        facts->writes_at = member_call->getExprLoc();
      }
    }
    // A getter of an element is a projection named like a member.
    if (method != nullptr && method->isConst()) {
      const Expr* object = member_call->getImplicitObjectArgument();
      const auto* ref = object != nullptr ? dyn_cast<DeclRefExpr>(object->IgnoreParenImpCasts()) : nullptr;
      if (ref != nullptr && isa<ParmVarDecl>(ref->getDecl())) {
        facts->members.insert(method->getNameAsString());
        return;
      }
    }
  } else if (const auto* plain = dyn_cast<CallExpr>(stmt)) {
    const auto* callee = plain->getDirectCallee();
    const std::string name = callee != nullptr ? callee->getNameAsString() : "";
    if (name != "tie" && name != "forward_as_tuple" && name != "make_tuple" && name != "less" && callee != nullptr) {
      for (const Expr* arg : plain->arguments()) {
        const auto* ref = dyn_cast<DeclRefExpr>(arg->IgnoreParenImpCasts());
        if (ref != nullptr && isa<ParmVarDecl>(ref->getDecl())) facts->derived = true;
      }
      if (facts->derived) return;
    }
  }
  if (const auto* member = dyn_cast<MemberExpr>(stmt)) {
    if (const auto* field = dyn_cast<FieldDecl>(member->getMemberDecl())) {
      facts->members.insert(field->getNameAsString());
      facts->text = facts->text || IsString(field->getType());
      return;
    }
  }
  if (const auto* ref = dyn_cast<DeclRefExpr>(stmt)) {
    if (const auto* parameter = dyn_cast<ParmVarDecl>(ref->getDecl()); parameter != nullptr && parameter->getDeclContext() == comparator) {
      facts->whole = true;
    }
    return;
  }
  for (const Stmt* child : stmt->children()) Inspect(child, comparator, facts);
}

bool LooksUnique(llvm::StringRef member) {
  const std::string name = member.trim("_").lower();
  for (llvm::StringRef key : {"id", "key", "name", "uuid", "guid", "path", "seq", "sequence", "index", "first", "number", "uid", "hash",
                              "digest", "code", "ordinal", "position", "get_id", "getid", "event_id"}) {
    if (name == key) return true;
  }
  return llvm::StringRef(name).ends_with("_id") || llvm::StringRef(name).ends_with("id_") || llvm::StringRef(name).ends_with("_key") ||
         llvm::StringRef(name).ends_with("_name") || llvm::StringRef(name).ends_with("_seq") ||
         llvm::StringRef(name).ends_with("_index") || member.ends_with("Id") || member.ends_with("Key") || member.ends_with("Name");
}

// Whether equal elements can be told apart by what the comparator leaves out: it reads no name or number that tells them apart, nor
// breaks ties by a text.
bool LeavesTies(const ComparatorFacts& facts, unsigned fields) {
  if (facts.members.empty()) return facts.derived;
  if (facts.members.size() >= fields || (facts.members.size() >= 2 && facts.text)) return false;
  return std::none_of(facts.members.begin(), facts.members.end(), LooksUnique);
}

unsigned FieldCount(QualType type) {
  type = type.getNonReferenceType();
  if (type->isPointerType()) type = type->getPointeeType();
  if (IsSmartPointer(type)) {
    if (const auto* special = Specialization(type)) type = TypeArgument(special, 0);
  }
  const auto* record = type->getAsCXXRecordDecl();
  if (record == nullptr || !record->hasDefinition()) return 1;
  unsigned count = 0;
  for (const auto* field : record->fields()) {
    (void)field;
    ++count;
  }
  for (const auto& base : record->bases()) {
    const auto* parent = base.getType()->getAsCXXRecordDecl();
    if (parent != nullptr && parent->hasDefinition()) count += static_cast<unsigned>(std::distance(parent->field_begin(), parent->field_end()));
  }
  return count;
}

}  // namespace

void FunctionLowering::OnComparator(const FunctionDecl* comparator, bool unstable, SourceLocation sort, LabelSet* into) {
  const FunctionDecl* definition = comparator->getDefinition();
  if (definition == nullptr && comparator->getTemplateInstantiationPattern() != nullptr) {
    definition = comparator->getTemplateInstantiationPattern();
  }
  if (definition == nullptr || definition->getBody() == nullptr || unit_.IsSystem(definition)) return;
  if (const auto* pattern = definition->getTemplateInstantiationPattern(); pattern != nullptr && definition->isDependentContext()) definition = pattern;
  ComparatorFacts facts;
  Inspect(definition->getBody(), definition, &facts);
  if (facts.or_equal) {
    const uint32_t hazard = AddHazardAt(unit_.SiteOf(facts.or_equal_at), "determinism-comparator-contract",
                                        "comparator with <= or >=", HazardMode::kEffect);
    const llvm::StringRef text = unit_.SourceText(SourceRange(facts.or_equal_at, facts.or_equal_at));
    if (text == "<=" || text == ">=") {
      AddEdit(hazard, SourceRange(facts.or_equal_at, facts.or_equal_at), text.take_front(1));
    }
  } else if (facts.writes) {
    AddHazardAt(unit_.SiteOf(facts.writes_at), "determinism-comparator-contract", "comparator with side effects", HazardMode::kEffect);
  } else if (facts.floats) {
    AddHazardAt(unit_.SiteOf(facts.floats_at), "determinism-comparator-contract", "comparator on floating-point values", HazardMode::kEffect);
  }
  // State captured by reference may change between comparisons.
  if (const auto* method = dyn_cast<CXXMethodDecl>(comparator); method != nullptr && method->getParent()->isLambda()) {
    for (const auto& capture : method->getParent()->captures()) {
      if (!capture.capturesVariable() || capture.getCaptureKind() != LCK_ByRef || facts.or_equal || facts.writes || facts.floats) continue;
      const auto* variable = dyn_cast<VarDecl>(capture.getCapturedVar());
      if (variable == nullptr || variable->getType().getNonReferenceType().isConstQualified()) continue;
      const QualType type = variable->getType().getNonReferenceType();
      // Looking something up in a table is common and pure; a scalar that changes is not.
      if (!type->isScalarType() && !facts.derived) continue;
      if (!type->isScalarType()) continue;
      AddHazardAt(unit_.SiteOf(capture.getLocation()), "determinism-comparator-contract",
                  "comparator reading " + variable->getNameAsString() + ", captured by reference", HazardMode::kEffect);
    }
  }
  if (!unstable || definition->getNumParams() == 0) return;
  const unsigned fields = FieldCount(definition->getParamDecl(0)->getType());
  if (!LeavesTies(facts, fields)) return;
  const uint32_t hazard = AddHazardAt(unit_.SiteOf(sort), "determinism-unstable-sort",
                                      "comparator that reads only part of the element", HazardMode::kOrder);
  out_.hazards[hazard].touched = true;
  if (into != nullptr) into->Join(HazardLabel(hazard));
}

bool FunctionLowering::OnSort(CallSite& site) {
  const std::string& name = site.names.back();
  const llvm::StringRef base = llvm::StringRef(name).rsplit("::").second.empty() ? llvm::StringRef(name) : llvm::StringRef(name).rsplit("::").second;
  const bool sorts = unit_.models().Has(Trait::kSorts, site.names);
  const bool partial_sort = name == "std::nth_element" || name == "std::partial_sort" || name == "std::partial_sort_copy" ||
                            name == "std::push_heap" || name == "std::pop_heap" || name == "std::make_heap" || name == "std::sort_heap" ||
                            name.find("nth_element") != std::string::npos || name.find("partial_sort") != std::string::npos;
  const bool other = name == "std::max_element" || name == "std::min_element" || name == "std::lower_bound" ||
                     name == "std::upper_bound" || name == "std::is_sorted" || name == "std::merge" || name == "std::equal_range" ||
                     name == "std::binary_search" || name == "std::minmax_element";
  if (!sorts && !partial_sort && !other) return false;
  // The comparator: the last argument that is callable with two elements.
  const FunctionDecl* comparator = nullptr;
  const Expr* last = nullptr;
  for (const Expr* arg : site.args) {
    if (isa<CXXDefaultArgExpr>(arg)) continue;
    if (const auto* candidate = CallableBehind(arg); candidate != nullptr && candidate->getNumParams() == 2) {
      comparator = candidate;
      last = arg;
    }
  }
  if (comparator != nullptr) {
    if (const auto* lambda = LambdaBehind(last); lambda != nullptr && lambda->isGenericLambda()) {
      if (auto* generic = lambda->getDependentCallOperator()) {
        for (auto* special : generic->specializations()) {
          comparator = special;
          break;
        }
      }
    }
  }
  // A projection with the default comparator reads only part of the element as well.
  const bool stable = name.find("stable") != std::string::npos || name.find("::list::sort") != std::string::npos;
  LabelSet ties;
  if (comparator != nullptr && !unit_.IsSystem(comparator)) {
    OnComparator(comparator, !stable && (sorts || partial_sort), site.expr->getExprLoc(), &ties);
    // The stable sort takes the same arguments.
    const auto* call = dyn_cast<CallExpr>(site.expr);
    const auto* ref = call != nullptr ? dyn_cast<DeclRefExpr>(call->getCallee()->IgnoreParenImpCasts()) : nullptr;
    if (!ties.empty() && name == "std::sort" && ref != nullptr) {
      AddEdit(IndexOf(*ties.begin()), SourceRange(ref->getLocation(), ref->getLocation()), "stable_sort");
    }
  }
  else if (!stable && base == "operator()" && sorts) {
    for (const Expr* arg : site.args) {
      const Expr* plain = arg->IgnoreParenImpCasts();
      const auto* address = dyn_cast<UnaryOperator>(plain);
      if (address == nullptr || !arg->getType()->isMemberDataPointerType()) continue;
      const auto* ref = dyn_cast<DeclRefExpr>(address->getSubExpr()->IgnoreParens());
      if (ref != nullptr && !LooksUnique(ref->getDecl()->getName())) {
        const uint32_t hazard = AddHazardAt(unit_.SiteOf(site.expr->getExprLoc()), "determinism-unstable-sort",
                                            "projection that reads only part of the element", HazardMode::kOrder);
        out_.hazards[hazard].touched = true;
        ties.Join(HazardLabel(hazard));
      }
    }
  }
  // Sorting pointers without a comparator orders by address.
  if (comparator == nullptr || (comparator != nullptr && unit_.IsSystem(comparator))) {
    for (const Expr* arg : site.args) {
      QualType element;
      if (arg->getType()->isPointerType()) element = arg->getType()->getPointeeType();
      if (const auto* special = Specialization(arg->getType())) {
        element = TypeArgument(special, 0);
        if (!element.isNull() && element->isPointerType()) element = element->getPointeeType();
      }
      if (element.isNull()) continue;
      if (element->isPointerType() && (sorts || partial_sort)) {
        AddHazard(site.expr, site.expr->getExprLoc(), "determinism-pointer-order", "sort by pointer", HazardMode::kEffect);
      } else if (IsSmartPointer(element) && (sorts || partial_sort)) {
        AddHazard(site.expr, site.expr->getExprLoc(), "determinism-owner-order", "sort by smart pointer", HazardMode::kEffect);
      }
    }
  }
  if (!sorts && !partial_sort) return false;
  // Whatever order the elements had is gone, apart from ties.
  const Expr* target = site.object != nullptr && base != "operator()" ? site.object : (site.args.empty() ? nullptr : site.args.front());
  Place place = PlaceOf(target);
  if (place.kind == Place::kNone) return true;
  LabelSet labels = Read(place);
  const bool keeps_ties = stable && comparator != nullptr && [&] {
    ComparatorFacts facts;
    const FunctionDecl* definition = comparator->getDefinition();
    if (definition == nullptr || definition->getBody() == nullptr) return false;
    Inspect(definition->getBody(), definition, &facts);
    const unsigned fields = FieldCount(definition->getParamDecl(0)->getType());
    return !facts.members.empty() && LeavesTies(facts, fields);
  }();
  if (sorts && !keeps_ties) labels = WithoutOrder(labels);
  labels.Join(ties);
  if (place.kind == Place::kLocal && order_.empty()) {
    env_.values[{place.variable, place.field}] = labels;
  } else {
    Write(place, ties, WriteKind::kCommutative, site.expr);
  }
  return true;
}

// ---- Hash containers (C1, C2, C11) ----

bool FunctionLowering::OnUnordered(CallSite& site, LabelSet* result) {
  const std::string name = site.callee->getNameAsString();
  // Free begin, end and ranges over a hash container.
  const Expr* container = site.object;
  if (container == nullptr && !site.args.empty() && IsUnorderedContainer(unit_, site.args.front()->getType()) &&
      (name == "begin" || name == "cbegin" || name == "end" || name == "cend")) {
    container = site.args.front();
  }
  if (container != nullptr && IsUnorderedContainer(unit_, container->getType())) {
    if (name == "begin" || name == "cbegin") {
      const uint32_t hazard = AddHazard(site.expr, site.expr->getExprLoc(), "determinism-unordered-iteration",
                                        UnitBuilder::RecordName(container->getType()), HazardMode::kOrder, true);
      out_.hazards[hazard].result_order = true;
      *result = HazardLabel(hazard);
      result->Join(site.object_labels);
      return true;
    }
    if (name == "end" || name == "cend") {
      *result = site.object_labels;
      return true;
    }
    const Place place = PlaceOf(container);
    const bool changes = name == "erase" || name == "insert" || name == "emplace" || name == "operator[]" || name == "try_emplace" ||
                         name == "insert_or_assign" || name == "clear" || name == "extract" || name == "rehash" || name == "merge";
    bool walking = false;
    for (const auto& scope : order_) walking = walking || (scope.container != nullptr && scope.container == place.variable);
    if (place.kind == Place::kField) {
      // Members are compared by field.
      walking = walking || (!order_.empty() && std::any_of(order_.begin(), order_.end(), [&](const OrderScope& scope) {
                  const Expr* walked = nullptr;
                  if (const auto* range = dyn_cast<CXXForRangeStmt>(scope.loop)) walked = range->getRangeInit();
                  if (const auto* loop = dyn_cast<ForStmt>(scope.loop)) {
                    if (const auto* decl = dyn_cast_or_null<DeclStmt>(loop->getInit()); decl != nullptr && decl->isSingleDecl()) {
                      const auto* variable = dyn_cast<VarDecl>(decl->getSingleDecl());
                      const auto* begin = variable != nullptr && variable->getInit() != nullptr
                                              ? dyn_cast<CXXMemberCallExpr>(variable->getInit()->IgnoreImplicit()) : nullptr;
                      if (begin != nullptr) walked = begin->getImplicitObjectArgument();
                    }
                  }
                  return walked != nullptr && PlaceOf(walked).field == place.field;
                }));
    }
    if (changes && walking) {
      AddHazard(site.expr, site.expr->getExprLoc(), "determinism-container-mutation-order", name + " while iterating", HazardMode::kEffect);
    } else if (name == "merge") {
      AddHazard(site.expr, site.expr->getExprLoc(), "determinism-container-mutation-order", "merge of hash tables", HazardMode::kEffect);
    }
    return false;
  }
  // `*table.begin()`: whichever item comes first.
  if (const auto* op = dyn_cast<CXXOperatorCallExpr>(site.expr);
      op != nullptr && (op->getOperator() == OO_Star || op->getOperator() == OO_Arrow) && site.object != nullptr) {
    const auto* begin = dyn_cast<CXXMemberCallExpr>(site.object->IgnoreImplicit()->IgnoreParens());
    const Expr* object = nullptr;
    if (begin != nullptr && begin->getMethodDecl() != nullptr) {
      const std::string method = begin->getMethodDecl()->getNameAsString();
      if (method == "begin" || method == "cbegin") object = begin->getImplicitObjectArgument();
    } else if (const auto* call = dyn_cast<CallExpr>(site.object->IgnoreImplicit()->IgnoreParens());
               call != nullptr && call->getDirectCallee() != nullptr && call->getNumArgs() == 1 &&
               call->getDirectCallee()->getNameAsString() == "begin") {
      object = call->getArg(0);
    }
    if (object != nullptr) {
      const auto* special = Specialization(object->getType());
      const QualType key = TypeArgument(special, 0);
      const bool by_pointer = IsOrderedContainer(unit_, object->getType()) && !key.isNull() && (key->isPointerType() || IsSmartPointer(key));
      if (IsUnorderedContainer(unit_, object->getType()) || by_pointer) {
        const uint32_t hazard = AddHazard(site.expr, site.expr->getExprLoc(), "determinism-multi-ready-pick",
                                          "first item of " + UnitBuilder::RecordName(object->getType()), HazardMode::kEffect);
        // One pick, one finding: the walk that it starts is not another.
        for (Label label : site.object_labels) {
          if (KindOf(label) != LabelKind::kHazard) continue;
          Hazard& walk = out_.hazards[IndexOf(label)];
          if (unit_.Text(walk.rule) == "determinism-unordered-iteration") walk.mode = HazardMode::kTaint, walk.sinks = 0, walk.order = true;
        }
        *result = HazardLabel(hazard);
        return true;
      }
    }
  }
  return false;
}

// Algorithms and views that take a whole hash table.
void FunctionLowering::OnWholeContainer(CallSite& site) {
  const std::string& name = site.names.back();
  const bool walks = name.rfind("std::ranges::", 0) == 0 || name.rfind("absl::c_", 0) == 0;
  if (!walks || unit_.models().Has(Trait::kOrderFree, site.names)) return;
  for (size_t i = 0; i < site.args.size(); ++i) {
    if (!IsUnorderedContainer(unit_, site.args[i]->getType())) continue;
    const uint32_t hazard = AddHazard(site.args[i], site.args[i]->getExprLoc(), "determinism-unordered-iteration",
                                      UnitBuilder::RecordName(site.args[i]->getType()), HazardMode::kOrder, true);
    out_.hazards[hazard].result_order = true;
    site.arg_labels[i].Join(HazardLabel(hazard));
    out_.calls[site.index].args[i + 1].Join(HazardLabel(hazard));
  }
}

// ---- Text (C12, C4) ----

// Statements of SQL begin with one of a few words.
static bool LooksLikeQuery(llvm::StringRef text) {
  text = text.ltrim();
  for (llvm::StringRef verb : {"SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "MERGE INTO ", "WITH ", "CREATE TABLE ", "COPY ", "REPLACE INTO "}) {
    if (text.starts_with_insensitive(verb)) return true;
  }
  return false;
}

void FunctionLowering::OnStringBuild(CallSite& site, LabelSet* result) {
  const std::string& name = site.names.back();
  const std::string method = site.callee->getNameAsString();
  const bool concatenates = method == "operator+" && IsString(site.callee->getReturnType());
  const bool formats = name == "fmt::format" || name == "std::format" || name == "absl::StrCat" || name == "absl::StrFormat" ||
                       name == "absl::Substitute" || name == "fmt::vformat" || name == "std::to_string" || name == "absl::StrJoin" ||
                       name == "fmt::to_string" || name == "fmt::join";
  const bool appends = site.object != nullptr && IsString(site.object->getType()) &&
                       (method == "operator+=" || method == "append" || method == "push_back" || method == "insert");
  const bool prints = name == "snprintf" || name == "sprintf" || name == "std::snprintf" || name == "std::sprintf" ||
                      name == "vsnprintf" || name == "asprintf";
  if (!concatenates && !formats && !appends && !prints) return;
  // Of nested building steps only the outermost one speaks.
  LabelSet inputs;
  std::vector<Label> inner;
  bool inner_query = false;
  for (Label label : *result) {
    const bool built = KindOf(label) == LabelKind::kHazard &&
                       unit_.Text(out_.hazards[IndexOf(label)].rule) == "determinism-string-built-command";
    if (built) {
      inner.push_back(label);
      inner_query = inner_query || (out_.hazards[IndexOf(label)].sinks & kSinkPayload) != 0;
      inputs.Join(out_.hazards[IndexOf(label)].inputs);
    } else {
      inputs.Add(label);
    }
  }
  for (Label label : inner) result->Remove(label);
  if (inputs.empty()) return;
  const size_t known = out_.hazards.size();
  const uint32_t hazard = AddHazard(site.expr, site.expr->getExprLoc(), "determinism-string-built-command",
                                    "text built at run time", HazardMode::kTaint);
  if (out_.hazards.size() != known) out_.hazards[hazard].sinks = 0;
  out_.hazards[hazard].sinks |= kSinkName;
  // Text of a query counts as payload too.
  const auto query = [&](const Expr* part) {
    const auto text = ConstantText(part);
    return text && LooksLikeQuery(*text);
  };
  if (std::any_of(site.args.begin(), site.args.end(), query) || (site.object != nullptr && query(site.object)) || inner_query) {
    out_.hazards[hazard].sinks |= kSinkPayload | kSinkCommand;
  }
  result->Join(HazardLabel(hazard));
  // Which data went in decides whether the text is workflow input: the link step finds out.
  out_.hazards[hazard].inputs.Join(inputs);
  if (appends) Write(PlaceOf(site.object), HazardLabel(hazard), WriteKind::kInsert, site.expr);
  if (prints && !site.args.empty()) Write(PlaceOf(site.args.front()), *result, WriteKind::kInsert, site.expr);
}

void FunctionLowering::OnPointerFormat(CallSite& site, LabelSet* result) {
  const std::string& name = site.names.back();
  const std::string method = site.callee->getNameAsString();
  const auto report = [&](const std::string& what, bool out) {
    const uint32_t hazard = AddHazard(site.expr, site.expr->getExprLoc(), "determinism-pointer-value", what, HazardMode::kTaint);
    result->Join(HazardLabel(hazard));
    if (out) Write(PlaceOf(site.object != nullptr ? site.object : site.args.front()), HazardLabel(hazard), WriteKind::kInsert, site.expr);
  };
  const bool prints = name.find("printf") != std::string::npos;
  if (prints) {
    for (const Expr* arg : site.args) {
      const auto* literal = dyn_cast<clang::StringLiteral>(arg->IgnoreParenImpCasts());
      if (literal != nullptr && literal->isOrdinary() && literal->getString().contains("%p")) report("%p", true);
    }
    return;
  }
  const bool streams = method == "operator<<" && UnitBuilder::RecordName(site.callee->getReturnType()).rfind("std::basic_", 0) == 0;
  if (streams && !site.args.empty()) {
    const QualType type = site.args.back()->IgnoreParenImpCasts()->getType();
    QualType decayed = type->isArrayType() ? context_.getArrayDecayedType(type) : type;
    if (decayed->isPointerType() && !decayed->getPointeeType()->isAnyCharacterType() && !decayed->getPointeeType()->isFunctionType()) {
      report("address written to a stream", true);
    }
    return;
  }
  if (name == "fmt::ptr" || name == "fmt::v9::ptr") report("fmt::ptr", false);
  if (name == "fmt::format" || name == "std::format" || name == "absl::StrCat" || name == "absl::StrFormat") {
    for (const Expr* arg : site.args) {
      const QualType type = arg->IgnoreParenImpCasts()->getType();
      if (type->isVoidPointerType()) report("formatted address", false);
    }
  }
}

// ---- Padding (D2), stored types (E6, E2) ----

// A member or a friend that compares two objects for equality.
static bool HasEquality(const CXXRecordDecl* record) {
  if (record == nullptr) return false;
  const auto equality = [](const Decl* decl) {
    const auto* function = decl != nullptr ? decl->getAsFunction() : nullptr;
    return function != nullptr && (function->getOverloadedOperator() == OO_EqualEqual || (function->getOverloadedOperator() == OO_Spaceship && function->isDefaulted()));
  };
  return std::any_of(record->method_begin(), record->method_end(), equality) ||
         std::any_of(record->friend_begin(), record->friend_end(), [&](const FriendDecl* friend_decl) { return equality(friend_decl->getFriendDecl()); });
}

void FunctionLowering::OnPadding(CallSite& site) {
  const bool compares = unit_.models().Has(Trait::kCompares, site.names);
  const bool hashes = unit_.models().Has(Trait::kHashes, site.names);
  const std::string name = site.callee->getNameAsString();
  const bool bytes = name == "as_bytes";
  // A function of the program that takes an address and a length, given the bytes of a record.
  const bool takes_bytes = !unit_.IsStandardLibrary(site.callee) && site.args.size() >= 2 && name.find("hash") != std::string::npos;
  if (name == "bit_cast" && !site.args.empty()) {
    const QualType from = site.args.front()->getType().getNonReferenceType();
    if (from->isRecordType() && !context_.hasUniqueObjectRepresentations(from) && from.isTriviallyCopyableType(context_)) {
      AddHazard(site.expr, site.expr->getExprLoc(), "determinism-padding-compare", "bit cast of " + from.getUnqualifiedType().getAsString(),
                HazardMode::kEffect);
    }
    return;
  }
  if (!compares && !hashes && !bytes && !takes_bytes) return;
  for (const Expr* arg : site.args) {
    const Expr* plain = arg;
    for (int i = 0; i < 8; ++i) {
      plain = plain->IgnoreParenCasts();
      if (const auto* construct = dyn_cast<CXXConstructExpr>(plain); construct != nullptr && construct->getNumArgs() >= 1) {
        plain = construct->getArg(0);
      } else if (const auto* wrapped = dyn_cast<MaterializeTemporaryExpr>(plain)) {
        plain = wrapped->getSubExpr();
      } else if (const auto* temporary = dyn_cast<CXXBindTemporaryExpr>(plain)) {
        plain = temporary->getSubExpr();
      } else {
        break;
      }
    }
    plain = plain->IgnoreParenCasts();
    QualType type = plain->getType();
    if (!type->isPointerType()) continue;
    type = type->getPointeeType();
    if (!type->isRecordType() || type->isIncompleteType()) continue;
    // Floating members have no unique representation but no padding either.
    const auto* record = type->getAsRecordDecl();
    if (record == nullptr || record->isUnion()) continue;
    const ASTRecordLayout& layout = context_.getASTRecordLayout(record);
    uint64_t used = 0;
    for (const auto* field : record->fields()) used += field->isBitField() ? field->getBitWidthValue(context_) : context_.getTypeSize(field->getType());
    if (const auto* class_type = dyn_cast<CXXRecordDecl>(record)) {
      for (const auto& base : class_type->bases()) used += context_.getTypeSize(base.getType());
    }
    if (used >= static_cast<uint64_t>(context_.toBits(layout.getSize())) && context_.hasUniqueObjectRepresentations(type)) continue;
    if (used >= static_cast<uint64_t>(context_.toBits(layout.getSize()))) {
      bool nested = false;
      for (const auto* field : record->fields()) {
        nested = nested || (field->getType()->isRecordType() && !context_.hasUniqueObjectRepresentations(field->getType()));
      }
      if (!nested) continue;
    }
    const uint32_t hazard = AddHazard(site.expr, site.expr->getExprLoc(), "determinism-padding-compare",
                                      (compares ? "byte comparison of " : "bytes of ") + type.getUnqualifiedType().getAsString(), HazardMode::kEffect);
    // `memcmp(&a, &b, n)` of a type that can be compared member by member.
    const auto object = [&](const Expr* pointer) -> const Expr* {
      const auto* address = dyn_cast<UnaryOperator>(pointer->IgnoreParenCasts());
      return address != nullptr && address->getOpcode() == UO_AddrOf ? address->getSubExpr() : nullptr;
    };
    if (compares && site.args.size() == 3 && object(site.args[0]) != nullptr && object(site.args[1]) != nullptr && HasEquality(type->getAsCXXRecordDecl())) {
      AddEdit(hazard, site.expr->getSourceRange(),
              "(" + unit_.SourceText(object(site.args[0])->getSourceRange()).str() + " == " +
                  unit_.SourceText(object(site.args[1])->getSourceRange()).str() + " ? 0 : 1)");
    }
    return;
  }
}

namespace {

// The first platform-dependent spelling in a type, or nothing.
std::string PlatformWidth(QualType type, ASTContext& context, int depth = 0) {
  if (type.isNull() || depth > 4) return {};
  type = type.getNonReferenceType();
  for (QualType current = type;;) {
    if (const auto* alias = current->getAs<TypedefType>()) {
      const std::string name = alias->getDecl()->getNameAsString();
      static const std::set<std::string> kFixed = {"int8_t", "int16_t", "int32_t", "int64_t", "uint8_t", "uint16_t", "uint32_t", "uint64_t",
                                                   "__int8_t", "__int16_t", "__int32_t", "__int64_t", "__uint64_t", "__uint32_t"};
      static const std::set<std::string> kPlatform = {"size_t", "ssize_t", "ptrdiff_t", "time_t", "off_t", "intptr_t", "uintptr_t", "size_type",
                                                      "difference_type", "clock_t", "streamoff", "streamsize", "intmax_t", "uintmax_t"};
      if (kFixed.count(name) != 0) return {};
      if (kPlatform.count(name) != 0) return name;
      current = alias->desugar();
      continue;
    }
    break;
  }
  // A type that came through a template parameter has lost the name it was written with.
  const auto substituted = [&](QualType written) {
    for (int step = 0; step < 16; ++step) {
      if (isa<SubstTemplateTypeParmType>(written.getTypePtr())) return true;
      const QualType inner = written.getSingleStepDesugaredType(context);
      if (inner == written) break;
      written = inner;
    }
    return false;
  };
  if (!type->isRecordType() && substituted(type)) return {};
  if (const auto* builtin = type->getAs<BuiltinType>()) {
    switch (builtin->getKind()) {
      case BuiltinType::Long: return "long";
      case BuiltinType::ULong: return "unsigned long";
      case BuiltinType::WChar_S:
      case BuiltinType::WChar_U: return "wchar_t";
      case BuiltinType::LongDouble: return "long double";
      default: return {};
    }
  }
  const auto* record = type->getAsCXXRecordDecl();
  if (record == nullptr || !record->hasDefinition()) return {};
  if (context.getSourceManager().isInSystemHeader(record->getLocation())) {
    const auto* special = dyn_cast<ClassTemplateSpecializationDecl>(record);
    const std::string name = UnitBuilder::Name(record);
    if (special == nullptr || (name != "std::vector" && name != "std::optional" && name != "std::array" && name != "std::deque")) return {};
    // Arguments lose their spelling in a specialisation; only unmistakable ones count.
    QualType element = TypeArgument(special, 0);
    if (!element.isNull() && element->isWideCharType()) return "wchar_t";
    return element.isNull() || !element->isRecordType() ? std::string() : PlatformWidth(element, context, depth + 1);
  }
  for (const auto* field : record->fields()) {
    if (field->isBitField()) return "bit-field " + field->getNameAsString();
    const std::string inner = PlatformWidth(field->getType(), context, depth + 1);
    if (!inner.empty()) return inner + " in member " + field->getNameAsString();
  }
  return {};
}

}  // namespace

void FunctionLowering::OnStoredTypes(CallSite& site) {
  const FunctionDecl* pattern = site.callee->getTemplateInstantiationPattern();
  if (pattern == nullptr) pattern = site.callee;
  for (size_t i = 0; i < site.args.size(); ++i) {
    const Expr* arg = site.args[i];
    if (isa<CXXDefaultArgExpr>(arg)) continue;
    // A value converted to the width of a declared parameter is stored at that width.
    if (i < pattern->getNumParams() && pattern->getNumParams() == site.callee->getNumParams()) {
      const QualType declared = pattern->getParamDecl(static_cast<unsigned>(i))->getType().getNonReferenceType();
      if (!declared->isDependentType() && declared->isArithmeticType() && PlatformWidth(declared, context_).empty()) continue;
    }
    const Expr* plain = arg->IgnoreParenImpCasts();
    if (const auto* wrapped = dyn_cast<MaterializeTemporaryExpr>(plain)) plain = wrapped->getSubExpr()->IgnoreParenImpCasts();
    if (plain->isValueDependent() || CallableBehind(plain) != nullptr) continue;
    if (plain->getType()->isArithmeticType() && plain->isEvaluatable(context_) && !plain->getType()->isWideCharType()) continue;
    std::string width = PlatformWidth(plain->getType(), context_);
    // What a template returns has lost the name it was written with.
    if (const auto* call = dyn_cast<CallExpr>(plain); call != nullptr && (width == "long" || width == "unsigned long")) {
      const auto* callee = call->getDirectCallee();
      if (callee == nullptr || callee->isTemplateInstantiation() || isa<CXXOperatorCallExpr>(call)) width.clear();
    }
    if (!width.empty() && UnitBuilder::RecordName(plain->getType()).rfind("lockstep::workflow::", 0) != 0) {
      const uint32_t hazard = AddHazard(arg, plain->getExprLoc(), "determinism-platform-width", width, HazardMode::kEffect);
      if (plain->getType()->isIntegerType() && !plain->getType()->isWideCharType()) {
        const char* fixed = plain->getType()->isSignedIntegerType() ? "int64_t" : "uint64_t";
        AddEdit(hazard, plain->getSourceRange(), std::string("static_cast<") + fixed + ">(" + unit_.SourceText(plain->getSourceRange()).str() + ")");
      }
    }
  }
}

// ---- Protocol (J1, J4, J8, F4, D5) ----

void FunctionLowering::OnCall(CallSite& site, Call& call) {
  if (call.callable == CallableRole::kSideEffect) OnSideEffect(site);
  const std::string name = site.callee->getNameAsString();
  if (site.names.back() == Api("get_version")) OnVersionGate(site);
  // Engines: default-constructed, or seeded from something that is no constant and no input.
  if (const auto* constructor = dyn_cast<CXXConstructorDecl>(site.callee); constructor != nullptr && !constructor->isCopyOrMoveConstructor()) {
    static const std::set<std::string> kEngines = {"std::mersenne_twister_engine", "std::linear_congruential_engine",
                                                   "std::subtract_with_carry_engine", "std::discard_block_engine",
                                                   "std::shuffle_order_engine", "std::independent_bits_engine",
                                                   "boost::random::mersenne_twister_engine"};
    const std::string type = UnitBuilder::Name(constructor->getParent());
    if (kEngines.count(type) != 0) {
      const bool no_seed = site.args.empty() || isa<CXXDefaultArgExpr>(site.args.front());
      bool unrecorded = false;
      for (const auto& labels : site.arg_labels) {
        for (Label label : labels) unrecorded = unrecorded || KindOf(label) == LabelKind::kHazard;
      }
      if (no_seed || unrecorded) {
        const uint32_t hazard = AddHazard(site.expr, site.expr->getExprLoc(), "determinism-engine-seed",
                                          no_seed ? "engine without seed" : "engine with a seed that is not recorded", HazardMode::kEffect);
        // `Engine engine;` names the variable where the construction stands.
        const SourceLocation at = site.expr->getExprLoc();
        const SourceLocation end = Lexer::getLocForEndOfToken(at, 0, context_.getSourceManager(), context_.getLangOpts());
        if (no_seed && SeesWorkflowApi() && end.isValid() && site.expr->getBeginLoc() == site.expr->getEndLoc() &&
            !isa<CXXTemporaryObjectExpr>(site.expr)) {
          AddEdit(hazard, CharSourceRange::getCharRange(end, end), "(" + Api("random") + "())");
        }
      } else {
        const uint32_t hazard = AddHazard(site.expr, site.expr->getExprLoc(), "determinism-engine-seed",
                                          "engine with a seed that is not recorded", HazardMode::kTaint);
        out_.hazards[hazard].sinks = 0;  // Activated by the link step when the seed comes from a hazard elsewhere.
        for (const auto& labels : site.arg_labels) out_.hazards[hazard].inputs.Join(labels);
      }
    }
  }
  if (name == "seed" && site.object != nullptr && UnitBuilder::RecordName(site.object->getType()).find("engine") != std::string::npos) {
    for (const auto& labels : site.arg_labels) {
      for (Label label : labels) {
        if (KindOf(label) == LabelKind::kHazard) {
          AddHazard(site.expr, site.expr->getExprLoc(), "determinism-engine-seed", "engine with a seed that is not recorded", HazardMode::kEffect);
        }
      }
    }
  }
  // Serialised bytes that are compared.
  if (name == "operator==" || name == "operator!=" || name == "compare" || name == "operator<=>" || name == "operator<") {
    LabelSet all = site.object_labels;
    for (const auto& labels : site.arg_labels) all.Join(labels);
    for (Label label : all) {
      if (KindOf(label) != LabelKind::kHazard) continue;
      Hazard& hazard = out_.hazards[IndexOf(label)];
      if (hazard.mode == HazardMode::kTaint && hazard.sinks != 0xff && (hazard.sinks & kSinkCompare) != 0) hazard.mode = HazardMode::kEffect;
    }
  }
  // Relational operators of smart pointers.
  if ((name == "operator<" || name == "operator<=>" || name == "operator>" || name == "operator<=" || name == "operator>=") &&
      !site.args.empty() && unit_.IsStandardLibrary(site.callee)) {
    const QualType type = site.object != nullptr ? site.object->getType() : site.args.front()->getType();
    if (IsSmartPointer(type)) {
      AddHazard(site.expr, site.expr->getExprLoc(), "determinism-owner-order", "comparison of smart pointers", HazardMode::kEffect);
    }
  }
  // std::less<T*> as a function object, std::hash<T*> as a value.
  if (name == "operator()" && site.object != nullptr) {
    const std::string type = UnitBuilder::RecordName(site.object->getType());
    const QualType argument = TypeArgument(Specialization(site.object->getType()), 0);
    if ((type == "std::less" || type == "std::greater") && !argument.isNull()) {
      const bool pointers = argument->isPointerType() || (argument->isVoidType() && !site.args.empty() && site.args.front()->getType()->isPointerType());
      if (pointers) AddHazard(site.expr, site.expr->getExprLoc(), "determinism-pointer-order", type + " over a pointer", HazardMode::kEffect);
    }
  }
  // `L` in a format string, printf of localised numbers.
  if (name == "format" || name == "format_to") {
    for (const Expr* arg : site.args) {
      const Expr* plain = arg->IgnoreImplicit()->IgnoreParenCasts();
      if (const auto* construct = dyn_cast<CXXConstructExpr>(plain); construct != nullptr && construct->getNumArgs() >= 1) plain = construct->getArg(0)->IgnoreParenImpCasts();
      const auto* literal = dyn_cast<clang::StringLiteral>(plain);
      if (literal == nullptr || !literal->isOrdinary()) continue;
      const std::string text = literal->getString().str();
      for (size_t at = text.find('{'); at != std::string::npos; at = text.find('{', at + 1)) {
        const size_t end = text.find('}', at);
        const size_t colon = text.find(':', at);
        if (end != std::string::npos && colon < end && text.find('L', colon) < end) {
          AddHazard(site.expr, site.expr->getExprLoc(), "determinism-locale", "format with L", HazardMode::kEffect);
          break;
        }
      }
    }
  }
  // Numbers through a stream take the global locale.
  if ((name == "operator<<" || name == "operator>>") && !site.args.empty() && unit_.IsStandardLibrary(site.callee)) {
    const Expr* stream = site.object != nullptr ? site.object : site.args.front();
    const QualType value = site.args.back()->getType().getNonReferenceType();
    const Place place = PlaceOf(stream);
    const std::string type = place.variable != nullptr ? UnitBuilder::RecordName(place.variable->getType()) : "";
    const bool text_stream = type == "std::basic_ostringstream" || type == "std::basic_stringstream" || type == "std::basic_istringstream";
    if (text_stream && value->isArithmeticType() && !value->isAnyCharacterType() && !value->isBooleanType() && site.object != nullptr) {
      AddHazard(site.expr, site.expr->getExprLoc(), "determinism-locale", "number through a stream", HazardMode::kValue);
    }
  }
}

void FunctionLowering::OnSideEffect(CallSite& site) {
  for (const Expr* arg : site.args) {
    const LambdaExpr* lambda = LambdaBehind(arg);
    if (lambda == nullptr) continue;
    for (const auto& capture : lambda->captures()) {
      if (capture.capturesThis()) {
        if (capture.getCaptureKind() == LCK_StarThis) continue;
        AddHazardAt(unit_.SiteOf(capture.getLocation().isValid() ? capture.getLocation() : lambda->getBeginLoc()),
                    "determinism-side-effect-capture", "capture of this", HazardMode::kEffect);
        break;
      }
      if (capture.capturesVariable() && capture.getCaptureKind() == LCK_ByRef) {
        const SourceLocation at = capture.isExplicit() ? capture.getLocation() : lambda->getCaptureDefaultLoc();
        const uint32_t hazard = AddHazardAt(unit_.SiteOf(at.isValid() ? at : lambda->getBeginLoc()), "determinism-side-effect-capture",
                                            "capture of " + capture.getCapturedVar()->getNameAsString() + " by reference",
                                            HazardMode::kEffect);
        if (lambda->getCaptureDefault() == LCD_ByRef && lambda->getCaptureDefaultLoc().isValid()) {
          AddEdit(hazard, SourceRange(lambda->getCaptureDefaultLoc(), lambda->getCaptureDefaultLoc()), "=");
        }
        break;
      }
    }
    if (lambda->isMutable()) {
      AddHazardAt(unit_.SiteOf(lambda->getBeginLoc()), "determinism-side-effect-capture", "mutable callable", HazardMode::kEffect);
    }
  }
}

void FunctionLowering::OnVersionGate(CallSite& site) {
  if (site.args.empty()) return;
  ChangeGate gate{.site = unit_.SiteOf(site.expr->getExprLoc()), .function = out_.key};
  if (const auto id = ConstantText(site.args.front())) gate.id = unit_.Str(*id);
  else AddHazard(site.expr, site.args.front()->getExprLoc(), "determinism-version-gate", "change id that is not a literal", HazardMode::kEffect);
  Expr::EvalResult low, high;
  if (site.args.size() >= 3 && site.args[1]->EvaluateAsInt(low, context_) && site.args[2]->EvaluateAsInt(high, context_)) {
    gate.min = low.Val.getInt().getExtValue();
    gate.max = high.Val.getInt().getExtValue();
    gate.bounds_known = true;
    if (gate.min > gate.max) {
      const uint32_t hazard = AddHazardAt(gate.site, "determinism-version-gate", "minimum version above the maximum", HazardMode::kEffect);
      AddEdit(hazard, site.args[1]->getSourceRange(), unit_.SourceText(site.args[2]->getSourceRange()).str());
      AddEdit(hazard, site.args[2]->getSourceRange(), unit_.SourceText(site.args[1]->getSourceRange()).str());
    }
  }
  for (const auto& known : unit_.unit().gates) {
    if (known.site == gate.site) return;
  }
  unit_.unit().gates.push_back(gate);
}

void FunctionLowering::OnAwait(const CoawaitExpr* await) {
  const Expr* operand = await->getOperand();
  QualType type = operand->getType().getNonReferenceType();
  const auto* record = type->getAsCXXRecordDecl();
  if (record == nullptr) return;
  // Types of the API, and the program's own that derive from its awaitable.
  if (UnitBuilder::Name(record).rfind("lockstep::workflow::", 0) == 0) return;
  if (unit_.HasTypeTrait(type, Trait::kTask) || unit_.HasTypeTrait(type, Trait::kAwaitable)) return;
  AddHazard(await, await->getExprLoc(), "determinism-foreign-awaitable", UnitBuilder::Name(record), HazardMode::kEffect);
}

void FunctionLowering::OnUseAfterSuspension(const DeclRefExpr* ref, const VarDecl* variable) {
  if (!is_coroutine_ || !env_.suspended) return;
  const QualType type = variable->getType();
  const std::string record = UnitBuilder::RecordName(type);
  std::string what;
  if (ref->refersToEnclosingVariableOrCapture()) {
    // The closure of a coroutine lambda may be gone; what it captured by reference as well.
    const auto* method = dyn_cast_or_null<CXXMethodDecl>(declaration_);
    if (method == nullptr || !method->getParent()->isLambda()) return;
    for (const auto& capture : method->getParent()->captures()) {
      if (capture.capturesVariable() && capture.getCapturedVar() == variable && capture.getCaptureKind() == LCK_ByRef) {
        what = "capture of " + variable->getNameAsString() + " by reference";
      }
    }
  } else if (isa<ParmVarDecl>(variable)) {
    const bool view = record == "std::basic_string_view" || record == "std::span";
    if (record.rfind("lockstep::workflow::", 0) == 0) return;
    if (type->isReferenceType()) what = "reference parameter " + variable->getNameAsString();
    else if (view) what = "view parameter " + variable->getNameAsString();
  } else if (env_.stale.count(variable) != 0) {
    what = variable->getNameAsString();
  }
  if (what.empty()) return;
  const uint32_t rule = unit_.Str("determinism-dangling-across-await");
  const uint32_t text = unit_.Str(what);
  for (const auto& hazard : out_.hazards) {
    if (hazard.rule == rule && hazard.what == text) return;  // The first use is enough.
  }
  const uint32_t hazard = AddHazard(ref, ref->getLocation(), "determinism-dangling-across-await", what, HazardMode::kEffect);
  // `const T& x` becomes `T x`, on a definition that is its only declaration.
  const auto* parameter = dyn_cast<ParmVarDecl>(variable);
  const auto* owner = parameter != nullptr ? dyn_cast<FunctionDecl>(parameter->getDeclContext()) : nullptr;
  if (owner == nullptr || owner->getPreviousDecl() != nullptr || !type->isLValueReferenceType() ||
      !type->getPointeeType().isConstQualified() || !type->getPointeeType()->isObjectType()) {
    return;
  }
  const llvm::StringRef spelled = unit_.SourceText(SourceRange(parameter->getBeginLoc(), parameter->getLocation()));
  const std::string name = parameter->getNameAsString();
  if (spelled.starts_with("const ") && spelled.count('&') == 1) {
    const llvm::StringRef inner = spelled.drop_front(6).take_until([](char c) { return c == '&'; }).rtrim();
    AddEdit(hazard, SourceRange(parameter->getBeginLoc(), parameter->getLocation()), (inner + " " + name).str());
  }
}

void FunctionLowering::OnCatch(const CXXTryStmt* stmt, std::vector<uint32_t> calls, bool suspends) {
  if (calls.empty() && !suspends) return;
  for (unsigned i = 0; i < stmt->getNumHandlers(); ++i) {
    const CXXCatchStmt* handler = stmt->getHandler(i);
    const auto* variable = handler->getExceptionDecl();
    const std::string type = variable != nullptr ? UnitBuilder::RecordName(variable->getType()) : "...";
    const bool cancelled = type == Api("Cancelled");
    // What the cancellation derives from catches it; a program that does not see its class goes by what the specification says.
    const auto* cancellation = ApiClass("Cancelled");
    const bool base = type == "..." || type == "std::exception" ||
                      (cancellation != nullptr ? UnitBuilder::DerivesFrom(cancellation, type) : false);
    // A handler that ends by throwing again passes the cancellation on.
    const auto* block = dyn_cast_or_null<CompoundStmt>(handler->getHandlerBlock());
    bool rethrows = false;
    if (block != nullptr) {
      for (const Stmt* child : block->body()) {
        const Stmt* plain = child;
        if (const auto* cleanups = dyn_cast<ExprWithCleanups>(plain)) plain = cleanups->getSubExpr();
        if (const auto* thrown = dyn_cast<CXXThrowExpr>(plain)) rethrows = rethrows || thrown->getSubExpr() == nullptr;
        if (const auto* call = dyn_cast<CallExpr>(plain); call != nullptr && call->getDirectCallee() != nullptr) {
          rethrows = rethrows || UnitBuilder::Name(call->getDirectCallee()) == "std::rethrow_exception";
        }
      }
    }
    if (cancelled) return;  // Caught on its own, before anything broader: an intended decision.
    if (!base) continue;
    if (rethrows) return;
    TryBlock block_facts{.site = unit_.SiteOf(handler->getCatchLoc()), .suspends = suspends, .calls = std::move(calls), .edits = {}};
    bool ok = false;
    const Edit edit = unit_.EditOf(CharSourceRange::getCharRange(handler->getCatchLoc(), handler->getCatchLoc()),
                                   "catch (const lockstep::workflow::Cancelled&) { throw; } ", &ok);
    if (ok) block_facts.edits.push_back(edit);
    for (const auto& known : out_.tries) {
      if (known.site == block_facts.site) return;
    }
    out_.tries.push_back(std::move(block_facts));
    return;
  }
}

// ---- Fixes ----

bool FunctionLowering::SeesWorkflowApi() const { return ApiNamespace() != nullptr; }

const DeclContext* FunctionLowering::ApiNamespace() const {
  const DeclContext* scope = context_.getTranslationUnitDecl();
  for (const char* part : {"lockstep", "workflow"}) {
    const DeclContext* inner = nullptr;
    for (const auto* found : scope->lookup(&context_.Idents.get(part))) {
      if (const auto* space = dyn_cast<NamespaceDecl>(found)) inner = space;
    }
    if (inner == nullptr) return nullptr;
    scope = inner;
  }
  return scope;
}

const FunctionDecl* FunctionLowering::ApiFunction(llvm::StringRef name) const {
  const DeclContext* scope = ApiNamespace();
  if (scope == nullptr) return nullptr;
  for (const auto* found : scope->lookup(&context_.Idents.get(name))) {
    if (const auto* function = found->getAsFunction()) return function;
  }
  return nullptr;
}

const CXXRecordDecl* FunctionLowering::ApiClass(llvm::StringRef name) const {
  const DeclContext* scope = ApiNamespace();
  if (scope == nullptr) return nullptr;
  for (const auto* found : scope->lookup(&context_.Idents.get(name))) {
    if (const auto* record = dyn_cast<CXXRecordDecl>(found); record != nullptr && record->hasDefinition()) return record->getDefinition();
  }
  return nullptr;
}

// Calls for their effect alone: without them the defaults stay, which is what replay needs.
void FunctionLowering::FixStatement(uint32_t hazard, const CallSite& site) {
  if (statement_ != site.expr) return;
  const std::string& rule = unit_.Text(out_.hazards[hazard].rule);
  const std::string& name = site.names.back();
  const bool fence = name == "std::atomic_thread_fence" || name == "std::atomic_signal_fence";
  const bool locale = name == "setlocale" || name == "std::setlocale" || name == "std::locale::global";
  if (rule == "determinism-fp-environment" || (rule == "determinism-locale" && locale) || (rule == "determinism-atomic" && fence)) {
    AddEdit(hazard, site.expr->getSourceRange(), "");
  }
}

// Replacements inside the libraries, and by API functions whose parameters are looked at.
void FunctionLowering::FixLibraryCall(uint32_t hazard, const CallSite& site, const CallExpr* call) {
  const std::string& name = site.names.back();
  const auto text = [&](const Expr* expr) { return unit_.SourceText(expr->getSourceRange()).str(); };
  const auto whole = [&](const std::string& replacement) { AddEdit(hazard, site.expr->getSourceRange(), replacement); };
  const auto callee = [&](const char* to) { AddEdit(hazard, call->getCallee()->getSourceRange(), to); };
  if (name == "localtime" || name == "std::localtime") return callee("::gmtime");
  if (name == "localtime_r") return callee("::gmtime_r");
  if (name == "mktime" || name == "std::mktime") return callee("::timegm");
  if ((name == "pow" || name == "std::pow") && site.args.size() == 2 && isa<DeclRefExpr>(site.args[0]->IgnoreParenImpCasts())) {
    llvm::APFloat exponent(0.0);
    Expr::EvalResult integer;
    const bool square = site.args[1]->EvaluateAsFloat(exponent, context_)
                            ? exponent.convertToDouble() == 2
                            : site.args[1]->EvaluateAsInt(integer, context_) && integer.Val.getInt() == 2;
    if (square) whole("(" + text(site.args[0]) + " * " + text(site.args[0]) + ")");
    return;
  }
  if (!SeesWorkflowApi()) return;
  if (name == "std::random_device::operator()" && site.object != nullptr && !isa<DeclRefExpr>(site.object->IgnoreParenImpCasts()) &&
      !isa<MemberExpr>(site.object->IgnoreParenImpCasts())) {
    return whole("static_cast<unsigned>(" + Api("random") + "())");
  }
  const auto* shuffle = ApiFunction("shuffle");
  if (name == "std::shuffle" && site.args.size() == 3 && shuffle != nullptr && shuffle->getNumParams() == 1) {
    const auto container = [&](const Expr* expr, llvm::StringRef end) -> const Expr* {
      const auto* member = dyn_cast<CXXMemberCallExpr>(expr->IgnoreImplicit());
      if (member == nullptr || member->getMethodDecl() == nullptr || member->getMethodDecl()->getNameAsString() != end) return nullptr;
      return member->getImplicitObjectArgument();
    };
    const Expr* from = container(site.args[0], "begin");
    const Expr* to = container(site.args[1], "end");
    if (from == nullptr || to == nullptr || text(from) != text(to)) return;
    const bool pointer = shuffle->getParamDecl(0)->getType()->isPointerType();
    return whole(Api("shuffle") + (pointer ? "(&" : "(") + text(from) + ")");
  }
  const auto* sleep = ApiFunction("sleep");
  if (name == "std::this_thread::sleep_for" && is_coroutine_ && statement_ == site.expr && sleep != nullptr && site.args.size() == 1 &&
      sleep->getNumParams() >= 1) {
    const bool number = sleep->getParamDecl(0)->getType()->isArithmeticType();
    const std::string span = number ? "std::chrono::ceil<std::chrono::milliseconds>(" + text(site.args[0]) + ").count()"
                                    : "std::chrono::ceil<std::chrono::milliseconds>(" + text(site.args[0]) + ")";
    return whole("co_await " + Api("sleep") + "(" + span + ")");
  }
}

void FunctionLowering::FixCall(uint32_t hazard, const CallSite& site) {
  const std::string& name = site.names.back();
  FixStatement(hazard, site);
  if (const auto* call = dyn_cast<CallExpr>(site.expr)) FixLibraryCall(hazard, site, call);
  const auto whole = [&](const std::string& text) { AddEdit(hazard, site.expr->getSourceRange(), text); };
  if (const auto* call = dyn_cast<CallExpr>(site.expr)) {
    const std::string member = site.callee->getNameAsString();
    const auto rename = [&](llvm::StringRef to) {
      const auto* ref = dyn_cast<DeclRefExpr>(call->getCallee()->IgnoreParenImpCasts());
      if (ref != nullptr) AddEdit(hazard, SourceRange(ref->getLocation(), ref->getLocation()), to);
    };
    // The left fold of the same header takes the same arguments.
    if (name == "std::reduce" && site.args.size() == 3) return rename("accumulate");
    if (name == "std::transform_reduce" && site.args.size() == 4 && site.args[2]->getType()->isRecordType()) return rename("inner_product");
    if (name == "std::inclusive_scan" && site.args.size() == 3) return rename("partial_sum");
    if (!SeesWorkflowApi()) return;
    if (name == "time" && site.args.size() == 1 && site.args[0]->isNullPointerConstant(context_, Expr::NPC_ValueDependentIsNotNull)) {
      return whole("(" + Api("now") + "() / 1000)");
    }
    if (name == "rand" && site.args.empty()) return whole("static_cast<int>(" + Api("random") + "() & 0x7fffffff)");
    const bool one_text = site.args.size() == 1 && site.args[0]->getType().getNonReferenceType()->isPointerType();
    const bool spdlog = name.rfind("spdlog::", 0) == 0 && (member == "info" || member == "warn" || member == "error" || member == "debug");
    const Expr* first = site.args.empty() ? nullptr : site.args[0]->IgnoreImplicit()->IgnoreParenCasts();
    if (const auto* made = dyn_cast_or_null<CXXConstructExpr>(first); made != nullptr && made->getNumArgs() >= 1) {
      first = made->getArg(0)->IgnoreImplicit()->IgnoreParenCasts();
    }
    const bool literal = site.args.size() == 1 && isa_and_nonnull<clang::StringLiteral>(first);
    if ((name == "puts" && one_text) || (spdlog && site.object == nullptr && (literal || one_text))) {
      return whole(Api("log") + "(" + unit_.SourceText(site.args[0]->getSourceRange()).str() + ")");
    }
    if (name == "std::hash::operator()" && site.object != nullptr) {
      AddEdit(hazard, site.object->getSourceRange(), Api("stable_hash"));
    }
  }
}

// ---- Functions as a whole (D1, F7, E1, C9, H6, compiler warnings) ----

// Whether a constructor hands the rest of its work to a member function of its object.
static bool CallsOwnMembers(const Stmt* stmt) {
  if (stmt == nullptr || isa<LambdaExpr>(stmt)) return false;
  if (const auto* call = dyn_cast<CXXMemberCallExpr>(stmt); call != nullptr && call->getMethodDecl() != nullptr) {
    const Expr* object = call->getImplicitObjectArgument();
    if (object != nullptr && isa<CXXThisExpr>(object->IgnoreParenImpCasts()) && !call->getMethodDecl()->isConst()) return true;
  }
  return std::any_of(stmt->child_begin(), stmt->child_end(), CallsOwnMembers);
}

void FunctionLowering::OnConstructor(const CXXConstructorDecl* constructor) {
  if (constructor->isDelegatingConstructor() || !constructor->isUserProvided() || constructor->isCopyOrMoveConstructor()) return;
  if (unit_.IsSystem(constructor)) return;
  // Members that a function called on the way sets are not skipped.
  if (const Stmt* body = constructor->getBody(); body != nullptr && CallsOwnMembers(body)) return;
  for (const auto* field : constructor->getParent()->fields()) {
    if (!field->getType()->isScalarType() || field->hasInClassInitializer() || field->isUnnamedBitField() || field->getParent()->isUnion()) continue;
    if (written_fields_.count(field) != 0) continue;
    const uint32_t hazard = AddHazardAt(unit_.SiteOf(constructor->getLocation()), "determinism-uninitialized-read",
                                        "member " + field->getNameAsString() + " skipped by the constructor", HazardMode::kEffect);
    if (constructor->getParent()->isLambda()) continue;
    const SourceLocation end = Lexer::getLocForEndOfToken(field->getLocation(), 0, context_.getSourceManager(), context_.getLangOpts());
    if (!field->isBitField() && end.isValid() && unit_.SourceText(SourceRange(field->getLocation(), field->getLocation())) == field->getName()) {
      AddEdit(hazard, CharSourceRange::getCharRange(end, end), "{}");
    }
  }
}

void FunctionLowering::OnFunction() {
  // One logical thread needs no guard; a guard that nothing asks about can go.
  for (const auto& [variable, hazard] : locks_) {
    if (used_variables_.count(variable) != 0 || unit_.SourceText(variable->getSourceRange()).contains(',')) continue;
    AddEdit(hazard, variable->getSourceRange(), "");
  }
  for (const auto* variable : task_variables_) {
    if (used_variables_.count(variable) != 0) continue;
    AddHazardAt(unit_.SiteOf(variable->getLocation()), "determinism-dropped-task", "task " + variable->getNameAsString() + " that nothing awaits",
                HazardMode::kEffect);
  }
}

bool FunctionLowering::InAssert(SourceLocation at) const {
  const SourceManager& sources = context_.getSourceManager();
  const SourceLocation here = sources.getFileLoc(at);
  for (const auto& range : unit_.facts().asserts) {
    const SourceLocation begin = sources.getFileLoc(range.getBegin());
    const SourceLocation end = sources.getFileLoc(range.getEnd());
    if (sources.getFileID(begin) != sources.getFileID(here)) continue;
    if (!sources.isBeforeInTranslationUnit(here, begin) && !sources.isBeforeInTranslationUnit(end, here)) return true;
  }
  return false;
}

void FunctionLowering::OnSideEffectIn(SourceLocation at) {
  if (unit_.facts().asserts.empty() || !at.isMacroID() || !InAssert(at)) return;
  AddHazardAt(unit_.SiteOf(at), "determinism-conditional-command", "side effect in assert", HazardMode::kEffect);
}

void FunctionLowering::OnPragmasAndWarnings() {
  const SourceManager& sources = context_.getSourceManager();
  const SourceRange range = declaration_ != nullptr ? declaration_->getSourceRange() : initialized_->getSourceRange();
  const SourceLocation begin = sources.getExpansionLoc(range.getBegin());
  const SourceLocation end = sources.getExpansionLoc(range.getEnd());
  if (begin.isInvalid() || end.isInvalid()) return;
  const auto inside = [&](SourceLocation at) {
    at = sources.getExpansionLoc(at);
    return !sources.isBeforeInTranslationUnit(at, begin) && !sources.isBeforeInTranslationUnit(end, at);
  };
  const auto remove_line = [&](uint32_t hazard, SourceLocation at) {
    const SourceLocation start = sources.getExpansionLoc(at);
    const llvm::StringRef rest(sources.getCharacterData(start));
    const size_t length = rest.find('\n');
    if (length == llvm::StringRef::npos || length > 400 || (length > 0 && rest[length - 1] == '\\')) return;
    AddEdit(hazard, CharSourceRange::getCharRange(start, start.getLocWithOffset(static_cast<int>(length))), "");
  };
  for (const auto& [at, text] : unit_.facts().pragmas) {
    const bool openmp = llvm::StringRef(text).starts_with("omp");
    if (openmp) {
      if (inside(at)) remove_line(AddHazardAt(unit_.SiteOf(at), "determinism-parallel-algorithm", "#pragma " + text, HazardMode::kEffect), at);
      continue;
    }
    const bool before = unit_.IsFileScope(at) && sources.getFileID(sources.getExpansionLoc(at)) == sources.getFileID(begin) && sources.isBeforeInTranslationUnit(at, begin);
    if (inside(at) || before) remove_line(AddHazardAt(unit_.SiteOf(at), "determinism-fast-math", "#pragma " + text, HazardMode::kEffect), at);
  }
  for (const auto& warning : unit_.warnings()) {
    if (!inside(warning.at) || (warning.conditional && declaration_ != nullptr && SetTogether(warning.at))) continue;
    const uint32_t hazard = AddHazardAt(unit_.SiteOf(warning.at), warning.rule, warning.text, HazardMode::kEffect);
    for (const auto& fix : warning.fixes) AddEdit(hazard, fix.RemoveRange, fix.CodeToInsert);
  }
  // Compile flags and attributes that give up IEEE semantics.
  if (declaration_ == nullptr) return;
  const LangOptions& options = context_.getLangOpts();
  const bool fast = options.FastMath || options.AllowFPReassoc || options.UnsafeFPMath ||
                    options.getDefaultFPContractMode() == LangOptions::FPM_Fast || options.AllowRecip || options.NoSignedZero;
  if (fast && sources.isInMainFile(begin)) {
    Site site = unit_.SiteOf(sources.getLocForStartOfFile(sources.getMainFileID()));
    AddHazardAt(site, "determinism-fast-math", "compile flags of this file", HazardMode::kEffect);
  }
  for (const auto* attribute : declaration_->attrs()) {
    if (llvm::StringRef(attribute->getSpelling()) != "optimize" && llvm::StringRef(attribute->getSpelling()) != "__optimize__") continue;
    const std::string text = unit_.SourceText(attribute->getRange()).str();
    if (text.find("fast-math") == std::string::npos && text.find("unsafe-math") == std::string::npos &&
        text.find("associative-math") == std::string::npos && text.find("Ofast") == std::string::npos) {
      continue;
    }
    AddHazardAt(unit_.SiteOf(attribute->getLocation()), "determinism-fast-math", "optimize attribute", HazardMode::kEffect);
  }
}

}  // namespace lockstep::analyzer
