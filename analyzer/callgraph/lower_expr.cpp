// Expressions: what a value may depend on, which object an expression names, and what a write does to it.
#include "analyzer/callgraph/function_lowering.h"

namespace lockstep::analyzer {

using namespace clang;

bool IsFloating(QualType type) {
  if (type.isNull()) return false;
  type = type.getNonReferenceType();
  return type->isRealFloatingType() || type->isAnyComplexType();
}

bool IsUnorderedContainer(const UnitBuilder& unit, QualType type) { return unit.HasTypeTrait(type, Trait::kUnordered); }
bool IsOrderedContainer(const UnitBuilder& unit, QualType type) { return unit.HasTypeTrait(type, Trait::kOrdered); }

bool IsString(QualType type) {
  const std::string name = UnitBuilder::RecordName(type);
  return name == "std::basic_string" || name == "std::basic_string_view" || name == "std::basic_ostringstream" ||
         name == "std::basic_stringstream" || name == "std::basic_ostream";
}

const LambdaExpr* LambdaBehind(const Expr* expr) {
  for (int depth = 0; expr != nullptr && depth < 16; ++depth) {
    expr = expr->IgnoreImplicit()->IgnoreParenCasts();
    if (const auto* lambda = dyn_cast<LambdaExpr>(expr)) return lambda;
    if (const auto* construct = dyn_cast<CXXConstructExpr>(expr); construct != nullptr && construct->getNumArgs() >= 1) {
      expr = construct->getArg(0);
    } else if (const auto* bound = dyn_cast<CXXBindTemporaryExpr>(expr)) {
      expr = bound->getSubExpr();
    } else if (const auto* call = dyn_cast<CallExpr>(expr); call != nullptr && call->isCallToStdMove()) {
      expr = call->getArg(0);
    } else if (const auto* ref = dyn_cast<DeclRefExpr>(expr)) {
      const auto* variable = dyn_cast<VarDecl>(ref->getDecl());
      expr = variable != nullptr ? variable->getAnyInitializer() : nullptr;
    } else {
      return nullptr;
    }
  }
  return nullptr;
}

const FunctionDecl* CallableBehind(const Expr* expr) {
  if (expr == nullptr) return nullptr;
  if (const auto* lambda = LambdaBehind(expr)) return lambda->getCallOperator();
  const Expr* plain = expr->IgnoreImplicit()->IgnoreParenCasts();
  if (const auto* op = dyn_cast<UnaryOperator>(plain); op != nullptr && op->getOpcode() == UO_AddrOf) {
    plain = op->getSubExpr()->IgnoreParenCasts();
  }
  if (const auto* ref = dyn_cast<DeclRefExpr>(plain)) {
    if (const auto* function = dyn_cast<FunctionDecl>(ref->getDecl())) return function;
  }
  const auto* record = expr->getType().getNonReferenceType()->getAsCXXRecordDecl();
  if (record == nullptr || !record->hasDefinition()) return nullptr;
  for (const auto* method : record->methods()) {
    if (method->getOverloadedOperator() == OO_Call) return method;
  }
  return nullptr;
}

LabelSet FunctionLowering::Read(const Place& place) {
  LabelSet labels;
  switch (place.kind) {
    case Place::kNone: break;
    case Place::kLocal:
    case Place::kParam: {
      if (place.field != nullptr) {
        if (auto it = env_.values.find({place.variable, place.field}); it != env_.values.end()) labels.Join(it->second);
        if (auto it = env_.values.find({place.variable, nullptr}); it != env_.values.end()) labels.Join(it->second);
        if (place.kind == Place::kParam) labels.Add(MakeLabel(LabelKind::kField, FieldId(place.field)));
      } else {
        for (auto it = env_.values.lower_bound({place.variable, nullptr});
             it != env_.values.end() && it->first.first == place.variable; ++it) {
          labels.Join(it->second);
        }
      }
      if (place.variable != nullptr && (place.captured || IsShared(place.variable))) {
        labels.Add(MakeLabel(LabelKind::kGlobal, CellId(place.variable)));
      }
      break;
    }
    case Place::kField:
      labels.Add(MakeLabel(LabelKind::kField, FieldId(place.field)));
      if (place.this_object) labels.Add(MakeLabel(LabelKind::kParam, 0));
      break;
    case Place::kGlobal: labels.Add(MakeLabel(LabelKind::kGlobal, place.index)); break;
  }
  return labels;
}

bool FunctionLowering::OutsideOrderScope(const OrderScope& scope, const Place& place) const {
  if (place.kind == Place::kNone) return false;
  if (place.variable != nullptr && scope.inner.count(place.variable) != 0) return false;
  return true;
}

LabelSet FunctionLowering::WithoutOrder(const LabelSet& labels) {
  LabelSet kept;
  LabelSet symbolic;
  for (Label label : labels) {
    switch (KindOf(label)) {
      case LabelKind::kHazard:
        if (!out_.hazards[IndexOf(label)].order) kept.Add(label);
        break;
      case LabelKind::kFunction:
      case LabelKind::kDerived: kept.Add(label); break;
      default: symbolic.Add(label);
    }
  }
  if (symbolic.empty()) return kept;
  uint32_t index = 0;
  while (index < out_.derived.size() && !(out_.derived[index] == symbolic)) ++index;
  if (index == out_.derived.size()) out_.derived.push_back(symbolic);
  kept.Add(MakeLabel(LabelKind::kDerived, index));
  return kept;
}

void FunctionLowering::TouchOrder(const LabelSet& labels) {
  for (Label label : labels) {
    if (KindOf(label) == LabelKind::kHazard && out_.hazards[IndexOf(label)].mode == HazardMode::kOrder) {
      out_.hazards[IndexOf(label)].touched = true;
    }
  }
}

void FunctionLowering::Write(const Place& place, LabelSet labels, WriteKind kind, const Expr* at) {
  if (place.kind == Place::kNone) return;
  const QualType type = place.field != nullptr ? place.field->getType()
                        : place.variable != nullptr ? place.variable->getType() : QualType();
  const bool sorted_target = !type.isNull() && (IsOrderedContainer(unit_, type) || IsUnorderedContainer(unit_, type));
  if (kind == WriteKind::kCommutative || (sorted_target && (kind != WriteKind::kAssign || !place.exact) && kind != WriteKind::kCallee)) {
    labels = WithoutOrder(labels);
  } else if (kind != WriteKind::kConstant) {
    for (auto& scope : order_) {
      // A local that is sorted, or never looked at again, hides the order: it counts where the value goes on.
      if (OutsideOrderScope(scope, place)) labels.Add(MakeLabel(LabelKind::kHazard, scope.hazard));
    }
  }
  if (place.kind != Place::kLocal || place.captured) TouchOrder(labels);
  const bool strong = place.exact && kind == WriteKind::kAssign && order_.empty();
  if (place.variable != nullptr) env_.definite.erase(place.variable);
  if (place.field != nullptr && !labels.empty() && unit_.models().Has(Trait::kNameField, UnitBuilder::Name(place.field))) {
    AddFlow(Port::kGlobal, unit_.Str(kNameSink), labels);
  }
  switch (place.kind) {
    case Place::kNone: return;
    case Place::kLocal: {
      Significant(place.variable);
      LabelSet& slot = env_.values[{place.variable, place.field}];
      if (strong) {
        slot = labels;
        if (place.field == nullptr) {
          for (auto it = env_.values.upper_bound({place.variable, nullptr});
               it != env_.values.end() && it->first.first == place.variable;) {
            it = env_.values.erase(it);
          }
        }
      } else {
        slot.Join(labels);
      }
      env_.uninitialized.erase({place.variable, place.field});
      if (place.field == nullptr) {
        std::erase_if(env_.uninitialized, [&](const Slot& one) { return one.first == place.variable; });
      }
      if (IsShared(place.variable) || place.captured) AddFlow(Port::kGlobal, CellId(place.variable), labels);
      if (place.captured) AddEffect(EffectKind::kWriteCapture, place.variable->getName(), at->getExprLoc());
      break;
    }
    case Place::kParam:
      Significant();
      env_.values[{place.variable, place.field}].Join(labels);
      if (place.field != nullptr) AddFlow(Port::kField, FieldId(place.field), labels);
      AddFlow(Port::kOutParam, place.index, labels);
      break;
    case Place::kField:
      Significant();
      if (kind == WriteKind::kAssign || kind == WriteKind::kConstant) written_fields_.insert(place.field);
      AddFlow(Port::kField, FieldId(place.field), labels);
      if (place.this_object) AddFlow(Port::kOutParam, 0, labels);
      AddEffect(EffectKind::kWriteField, place.field->getName(), at->getExprLoc());
      break;
    case Place::kGlobal:
      Significant();
      AddFlow(Port::kGlobal, place.index, labels);
      AddEffect(EffectKind::kWriteGlobal, place.variable != nullptr ? place.variable->getName() : "", at->getExprLoc());
      break;
  }
  OnSideEffectIn(at->getExprLoc());
}

FunctionLowering::Place FunctionLowering::PlaceOf(const Expr* expr) {
  if (expr == nullptr) return {};
  expr = expr->IgnoreParenImpCasts();
  if (const auto* ref = dyn_cast<DeclRefExpr>(expr)) {
    const ValueDecl* decl = ref->getDecl();
    if (const auto* binding = dyn_cast<BindingDecl>(decl)) {
      if (const auto* holding = binding->getHoldingVar()) {
        if (auto it = aliases_.find(dyn_cast<VarDecl>(binding->getDecomposedDecl())); it != aliases_.end()) return it->second;
        return {.kind = Place::kLocal, .variable = holding, .exact = true};
      }
      const auto* whole = dyn_cast_or_null<VarDecl>(binding->getDecomposedDecl());
      if (whole == nullptr) return {};
      if (auto it = aliases_.find(whole); it != aliases_.end()) return it->second;
      return {.kind = Place::kLocal, .variable = whole, .exact = false};
    }
    const auto* variable = dyn_cast<VarDecl>(decl);
    if (variable == nullptr) return {};
    if (auto it = aliases_.find(variable); it != aliases_.end()) {
      Place place = it->second;
      return place;
    }
    if (!variable->isLocalVarDeclOrParm()) {
      return {.kind = Place::kGlobal, .variable = variable, .index = GlobalId(variable)};
    }
    if (variable->isStaticLocal()) {
      return {.kind = Place::kGlobal, .variable = variable, .index = GlobalId(variable)};
    }
    const int index = ParamIndex(variable);
    const bool captured = ref->refersToEnclosingVariableOrCapture();
    if (index > 0 && !captured && (variable->getType()->isReferenceType() || variable->getType()->isPointerType())) {
      return {.kind = Place::kParam, .variable = variable, .index = static_cast<uint32_t>(index)};
    }
    return {.kind = Place::kLocal, .variable = variable, .captured = captured};
  }
  if (const auto* member = dyn_cast<MemberExpr>(expr)) {
    const auto* field = dyn_cast<FieldDecl>(member->getMemberDecl());
    if (field == nullptr) {
      const auto* variable = dyn_cast<VarDecl>(member->getMemberDecl());
      if (variable == nullptr) return {};
      return {.kind = Place::kGlobal, .variable = variable, .index = GlobalId(variable)};
    }
    const Expr* base = member->getBase()->IgnoreParenImpCasts();
    if (isa<CXXThisExpr>(base)) return {.kind = Place::kField, .field = field, .this_object = true};
    Place outer = PlaceOf(base);
    if (outer.kind == Place::kLocal && !member->isArrow() && outer.field == nullptr && outer.exact) {
      outer.field = field;
      return outer;
    }
    if (outer.kind == Place::kLocal || outer.kind == Place::kParam) {
      // A nested member stands for the member it is nested in.
      if (outer.field == nullptr && outer.kind == Place::kParam) outer.field = field;
      outer.exact = false;
      return outer;
    }
    if (outer.kind == Place::kField || outer.kind == Place::kGlobal) {
      outer.exact = false;
      return outer;
    }
    return {.kind = Place::kField, .field = field};
  }
  if (const auto* subscript = dyn_cast<ArraySubscriptExpr>(expr)) {
    Place place = PlaceOf(subscript->getBase());
    place.exact = false;
    return place;
  }
  if (const auto* unary = dyn_cast<UnaryOperator>(expr)) {
    if (unary->getOpcode() == UO_AddrOf || unary->isIncrementDecrementOp()) return PlaceOf(unary->getSubExpr());
    if (unary->getOpcode() == UO_Deref) {
      if (isa<CXXThisExpr>(unary->getSubExpr()->IgnoreParenImpCasts())) return {};
      Place place = PlaceOf(unary->getSubExpr());
      place.exact = false;
      return place;
    }
    return {};
  }
  if (const auto* binary = dyn_cast<BinaryOperator>(expr); binary != nullptr && binary->isAssignmentOp()) {
    return PlaceOf(binary->getLHS());
  }
  if (const auto* binary = dyn_cast<BinaryOperator>(expr); binary != nullptr && binary->isAdditiveOp()) {
    if (!binary->getType()->isPointerType()) return {};
    Place place = PlaceOf(binary->getLHS());
    place.exact = false;
    return place;
  }
  if (const auto* conditional = dyn_cast<ConditionalOperator>(expr)) return PlaceOf(conditional->getTrueExpr());
  if (const auto* wrapped = dyn_cast<MaterializeTemporaryExpr>(expr)) return PlaceOf(wrapped->getSubExpr());
  if (const auto* wrapped = dyn_cast<ExprWithCleanups>(expr)) return PlaceOf(wrapped->getSubExpr());
  if (const auto* wrapped = dyn_cast<CXXBindTemporaryExpr>(expr)) return PlaceOf(wrapped->getSubExpr());
  if (const auto* cast = dyn_cast<ExplicitCastExpr>(expr)) return PlaceOf(cast->getSubExpr());
  if (const auto* construct = dyn_cast<CXXConstructExpr>(expr); construct != nullptr && construct->getNumArgs() >= 1) {
    // Views, spans, iterators and the like stand for what they were made from.
    const std::string name = UnitBuilder::RecordName(construct->getType());
    if (construct->getNumArgs() == 1 || name.find("iterator") != std::string::npos || name.find("view") != std::string::npos ||
        name.find("span") != std::string::npos) {
      Place place = PlaceOf(construct->getArg(0));
      place.exact = false;
      return place;
    }
    return {};
  }
  if (const auto* call = dyn_cast<CallExpr>(expr)) {
    const auto* callee = call->getDirectCallee();
    if (callee == nullptr) return {};
    const Expr* object = nullptr;
    if (const auto* member = dyn_cast<CXXMemberCallExpr>(call)) object = member->getImplicitObjectArgument();
    else if (isa<CXXOperatorCallExpr>(call) && call->getNumArgs() > 0) object = call->getArg(0);
    const std::string name = callee->getNameAsString();
    if (call->isCallToStdMove() || name == "forward" || name == "back_inserter" || name == "inserter" || name == "front_inserter" ||
        name == "begin" || name == "end" || name == "ref" || name == "next" || name == "prev" || name == "as_const" ||
        name == "data" || name == "addressof") {
      if (object == nullptr && call->getNumArgs() > 0) object = call->getArg(0);
    } else if (object == nullptr) {
      return {};
    }
    if (object == nullptr) return {};
    const QualType result = callee->getReturnType();
    if (!result->isReferenceType() && !result->isPointerType() && !result->isRecordType()) return {};
    Place place = PlaceOf(object);
    if (!call->isCallToStdMove() && name != "forward") place.exact = false;
    return place;
  }
  return {};
}

LabelSet FunctionLowering::ValueOfChildren(const Expr* expr) {
  LabelSet labels;
  for (const Stmt* child : expr->children()) {
    if (const auto* sub = dyn_cast_or_null<Expr>(child)) labels.Join(Value(sub));
  }
  return labels;
}

LabelSet FunctionLowering::Value(const Expr* expr) {
  if (expr == nullptr || !unit_.Step() || depth_ > 400) return {};
  struct Depth {
    int& value;
    explicit Depth(int& v) : value(v) { ++value; }
    ~Depth() { --value; }
  } depth(depth_);
  const bool load = std::exchange(loading_, false);
  switch (expr->getStmtClass()) {
    // Not evaluated.
    case Stmt::UnaryExprOrTypeTraitExprClass:
    case Stmt::CXXNoexceptExprClass:
    case Stmt::TypeTraitExprClass:
    case Stmt::RequiresExprClass:
    case Stmt::ConceptSpecializationExprClass:
    case Stmt::OffsetOfExprClass:
    case Stmt::SizeOfPackExprClass:
    case Stmt::CXXThisExprClass:
    case Stmt::CXXBoolLiteralExprClass:
    case Stmt::CXXNullPtrLiteralExprClass:
    case Stmt::FloatingLiteralClass:
    case Stmt::CharacterLiteralClass:
    case Stmt::ImplicitValueInitExprClass:
    case Stmt::CXXScalarValueInitExprClass: return {};
    case Stmt::IntegerLiteralClass:
    case Stmt::StringLiteralClass: {
      const SourceManager& sources = context_.getSourceManager();
      if (unit_.facts().stamps.empty()) return {};
      SourceLocation stamp_token = expr->getBeginLoc();
      if (const auto* text = dyn_cast<clang::StringLiteral>(expr)) {
        for (unsigned i = 0; i < text->getNumConcatenated(); ++i) {
          const SourceLocation token = text->getStrTokenLoc(i);
          if (token.isMacroID() && sources.isWrittenInScratchSpace(sources.getSpellingLoc(token))) stamp_token = token;
        }
      }
      if (!stamp_token.isMacroID() || !sources.isWrittenInScratchSpace(sources.getSpellingLoc(stamp_token))) return {};
      const SourceLocation at = sources.getExpansionLoc(stamp_token);
      for (const auto& stamp : unit_.facts().stamps) {
        if (sources.getExpansionLoc(stamp.at) != at) continue;
        return HazardLabel(AddHazard(expr, at, "determinism-build-stamp", stamp.macro, HazardMode::kValue));
      }
      return {};
    }
    case Stmt::CXXTypeidExprClass: {
      const auto* type = cast<CXXTypeidExpr>(expr);
      if (type->isPotentiallyEvaluated() && !type->isTypeOperand()) Value(type->getExprOperand());
      return {};
    }
    case Stmt::PredefinedExprClass: {
      const auto kind = cast<PredefinedExpr>(expr)->getIdentKind();
      if (kind == PredefinedIdentKind::PrettyFunction || kind == PredefinedIdentKind::FuncSig) {
        return HazardLabel(AddHazard(expr, expr->getExprLoc(), "determinism-type-name", "__PRETTY_FUNCTION__", HazardMode::kTaint));
      }
      return {};
    }
    case Stmt::SourceLocExprClass: return {};
    case Stmt::DeclRefExprClass: return ValueOfReference(cast<DeclRefExpr>(expr), load);
    case Stmt::MemberExprClass: return ValueOfMember(cast<MemberExpr>(expr), load);
    case Stmt::ParenExprClass:
      loading_ = load;
      return Value(cast<ParenExpr>(expr)->getSubExpr());
    case Stmt::BinaryOperatorClass:
    case Stmt::CompoundAssignOperatorClass: return ValueOfBinary(cast<BinaryOperator>(expr));
    case Stmt::UnaryOperatorClass: return ValueOfUnary(cast<UnaryOperator>(expr), load);
    case Stmt::ImplicitCastExprClass:
    case Stmt::CStyleCastExprClass:
    case Stmt::CXXStaticCastExprClass:
    case Stmt::CXXReinterpretCastExprClass:
    case Stmt::CXXConstCastExprClass:
    case Stmt::CXXDynamicCastExprClass:
    case Stmt::CXXFunctionalCastExprClass:
    case Stmt::BuiltinBitCastExprClass: return ValueOfCast(cast<CastExpr>(expr), load);
    case Stmt::CallExprClass:
    case Stmt::CXXMemberCallExprClass:
    case Stmt::CXXOperatorCallExprClass:
    case Stmt::UserDefinedLiteralClass: return ValueOfCall(cast<CallExpr>(expr));
    case Stmt::CXXConstructExprClass:
    case Stmt::CXXTemporaryObjectExprClass: return ValueOfConstruct(cast<CXXConstructExpr>(expr));
    case Stmt::CXXNewExprClass: return ValueOfNew(cast<CXXNewExpr>(expr));
    case Stmt::CXXDeleteExprClass: return ValueOfDelete(cast<CXXDeleteExpr>(expr));
    case Stmt::LambdaExprClass: return ValueOfLambda(cast<LambdaExpr>(expr));
    case Stmt::ConditionalOperatorClass: {
      const auto* op = cast<ConditionalOperator>(expr);
      LabelSet labels = Value(op->getCond());
      bool constant = false;
      if (!op->getCond()->isValueDependent() && op->getCond()->EvaluateAsBooleanCondition(constant, context_)) {
        return Value(constant ? op->getTrueExpr() : op->getFalseExpr());
      }
      ForgetChecked(op->getCond());
      labels.Join(Value(op->getTrueExpr()));
      labels.Join(Value(op->getFalseExpr()));
      return labels;
    }
    case Stmt::CXXDefaultArgExprClass: return Value(cast<CXXDefaultArgExpr>(expr)->getExpr());
    case Stmt::CXXDefaultInitExprClass: return Value(cast<CXXDefaultInitExpr>(expr)->getExpr());
    case Stmt::MaterializeTemporaryExprClass: return Value(cast<MaterializeTemporaryExpr>(expr)->getSubExpr());
    case Stmt::ExprWithCleanupsClass: return Value(cast<ExprWithCleanups>(expr)->getSubExpr());
    case Stmt::ConstantExprClass: return Value(cast<ConstantExpr>(expr)->getSubExpr());
    case Stmt::SubstNonTypeTemplateParmExprClass: return {};
    case Stmt::CXXRewrittenBinaryOperatorClass: return Value(cast<CXXRewrittenBinaryOperator>(expr)->getSemanticForm());
    case Stmt::OpaqueValueExprClass: {
      const auto* opaque = cast<OpaqueValueExpr>(expr);
      return opaque->getSourceExpr() != nullptr ? Value(opaque->getSourceExpr()) : LabelSet();
    }
    case Stmt::CXXBindTemporaryExprClass: {
      const auto* bound = cast<CXXBindTemporaryExpr>(expr);
      LabelSet labels = Value(bound->getSubExpr());
      CallDestructor(bound->getType(), bound->getExprLoc(), bound);
      return labels;
    }
    case Stmt::CoawaitExprClass: {
      const auto* await = cast<CoawaitExpr>(expr);
      LabelSet labels = Value(await->getOperand());
      if (await->isImplicit()) return labels;
      OnAwait(await);
      // The awaiter's own methods matter when the program wrote them.
      for (const Expr* part : {await->getReadyExpr(), await->getSuspendExpr(), await->getResumeExpr()}) {
        const auto* call = part != nullptr ? dyn_cast<CallExpr>(part->IgnoreImplicit()) : nullptr;
        if (call != nullptr && call->getDirectCallee() != nullptr && !unit_.IsSystem(call->getDirectCallee()) &&
            !unit_.models().Has(Trait::kAwaitable, "") &&
            UnitBuilder::Name(call->getDirectCallee()).rfind("lockstep::workflow::", 0) != 0) {
          Value(part);
        }
      }
      Suspended();
      Significant();
      AddEffect(EffectKind::kSuspend, "co_await", await->getExprLoc());
      return labels;
    }
    case Stmt::CoyieldExprClass: {
      LabelSet labels = Value(cast<CoyieldExpr>(expr)->getOperand());
      Suspended();
      AddFlow(Port::kReturn, 0, labels);
      AddEffect(EffectKind::kSuspend, "co_yield", expr->getExprLoc());
      return {};
    }
    case Stmt::CXXThrowExprClass: {
      if (const auto* thrown = cast<CXXThrowExpr>(expr)->getSubExpr()) Value(thrown);
      Significant();
      env_.dead = true;
      return {};
    }
    case Stmt::StmtExprClass: {
      const auto* body = cast<StmtExpr>(expr)->getSubStmt();
      LabelSet labels;
      for (const Stmt* child : body->body()) {
        if (const auto* last = dyn_cast<Expr>(child)) labels = Value(last);
        else Execute(child);
      }
      return labels;
    }
    case Stmt::InitListExprClass: {
      const auto* list = cast<InitListExpr>(expr);
      LabelSet labels;
      const auto* semantic = list->isSemanticForm() || list->getSemanticForm() == nullptr ? list : list->getSemanticForm();
      const auto* record = semantic->getType()->getAsCXXRecordDecl();
      if (record == nullptr || record->isUnion() || unit_.IsSystem(record)) return ValueOfChildren(semantic);
      // Bases come first, then the members in order.
      unsigned index = record->getNumBases();
      for (unsigned i = 0; i < index && i < semantic->getNumInits(); ++i) labels.Join(Value(semantic->getInit(i)));
      for (const auto* field : record->fields()) {
        if (field->isUnnamedBitField()) continue;
        if (index >= semantic->getNumInits()) break;
        const LabelSet one = Value(semantic->getInit(index++));
        if (!one.empty() && unit_.models().Has(Trait::kNameField, UnitBuilder::Name(field))) AddFlow(Port::kGlobal, unit_.Str(kNameSink), one);
        AddFlow(Port::kField, FieldId(field), one);
        labels.Join(one);
      }
      return labels;
    }
    case Stmt::ArraySubscriptExprClass: {
      const auto* subscript = cast<ArraySubscriptExpr>(expr);
      if (IsDefinite(subscript->getBase(), Definite::kNull)) {
        AddHazard(expr, expr->getExprLoc(), "determinism-undefined-behavior", "null pointer dereferenced", HazardMode::kEffect);
      }
      loading_ = load;
      LabelSet labels = Value(subscript->getBase());
      labels.Join(Value(subscript->getIdx()));
      const Place place = PlaceOf(subscript);
      if (load && place.kind == Place::kLocal && env_.uninitialized.count({place.variable, nullptr}) != 0) {
        AddHazard(expr, expr->getExprLoc(), "determinism-uninitialized-read", place.variable->getNameAsString(), HazardMode::kEffect);
      }
      return labels;
    }
    default: return ValueOfChildren(expr);
  }
}

LabelSet FunctionLowering::ValueOfReference(const DeclRefExpr* ref, bool load) {
  if (ref->isNonOdrUse() == NOUR_Unevaluated) return {};
  const ValueDecl* decl = ref->getDecl();
  if (const auto* function = dyn_cast<FunctionDecl>(decl)) {
    if (!unit_.IsSystem(function)) unit_.Enqueue(function);
    // Handing on a function of a library that is a hazard: whoever gets it calls it.
    if (unit_.IsSystem(function)) {
      const auto* models = unit_.models().Find({UnitBuilder::Name(function)});
      if (models != nullptr && models->front().kind == ModelKind::kHazard && models->front().mode != HazardMode::kTaint) {
        AddHazard(ref, ref->getLocation(), models->front().rule, UnitBuilder::Name(function), HazardMode::kEffect);
      }
    }
    return LabelSet(MakeLabel(LabelKind::kFunction, unit_.Str(unit_.Key(function))));
  }
  if (const auto* binding = dyn_cast<BindingDecl>(decl)) {
    if (const auto* holding = binding->getHoldingVar()) {
      return Read({.kind = Place::kLocal, .variable = holding});
    }
    if (const auto* whole = dyn_cast_or_null<VarDecl>(binding->getDecomposedDecl())) {
      return Read({.kind = Place::kLocal, .variable = whole});
    }
    return {};
  }
  const auto* variable = dyn_cast<VarDecl>(decl);
  if (variable == nullptr) return {};
  used_variables_.insert(variable);
  if (!load) ForgetLocal(variable);
  if (variable->getType().getNonReferenceType().isVolatileQualified()) {
    const uint32_t hazard = AddHazard(ref, ref->getLocation(), "determinism-atomic", "volatile " + variable->getNameAsString(), HazardMode::kEffect);
    const llvm::StringRef spelled = unit_.SourceText(SourceRange(variable->getBeginLoc(), variable->getLocation()));
    const size_t word = spelled.find("volatile ");
    if (variable->isLocalVarDecl() && word != llvm::StringRef::npos) {
      const SourceLocation from = variable->getBeginLoc().getLocWithOffset(static_cast<int>(word));
      AddEdit(hazard, CharSourceRange::getCharRange(from, from.getLocWithOffset(9)), "");
    }
  }
  if (!variable->isLocalVarDeclOrParm()) {
    OnGlobal(variable, ref);
  } else if (variable->isStaticLocal() && variable->getTLSKind() != VarDecl::TLS_None) {
    AddHazard(ref, ref->getLocation(), "determinism-thread-local", variable->getNameAsString(), HazardMode::kEffect);
  }
  OnUseAfterSuspension(ref, variable);
  const Place place = PlaceOf(ref);
  LabelSet labels = Read(place);
  // A reference also stands for what it was bound to.
  if (auto it = env_.values.find({variable, nullptr}); it != env_.values.end()) labels.Join(it->second);
  // A mutable global is no workflow input: names built from it are not either.
  if (place.kind == Place::kGlobal && !variable->isConstexpr() && !variable->getType().isConstQualified()) {
    labels.Add(MakeLabel(LabelKind::kGlobal, unit_.Str("counter:")));
  }
  return labels;
}

LabelSet FunctionLowering::ValueOfMember(const MemberExpr* member, bool load) {
  if (const auto* variable = dyn_cast<VarDecl>(member->getMemberDecl())) {
    Value(member->getBase());
    OnGlobal(variable, member);
    return LabelSet(MakeLabel(LabelKind::kGlobal, GlobalId(variable)));
  }
  if (const auto* method = dyn_cast<CXXMethodDecl>(member->getMemberDecl())) {
    LabelSet labels = Value(member->getBase());
    labels.Add(MakeLabel(LabelKind::kFunction, unit_.Str(unit_.Key(method))));
    return labels;
  }
  const Place place = PlaceOf(member);
  const Expr* base = member->getBase()->IgnoreParenImpCasts();
  if (member->isArrow() && IsDefinite(member->getBase(), Definite::kNull)) {
    AddHazard(member, member->getExprLoc(), "determinism-undefined-behavior", "null pointer dereferenced", HazardMode::kEffect);
  }
  loading_ = load;
  LabelSet base_labels = isa<CXXThisExpr>(base) ? LabelSet() : Value(member->getBase());
  loading_ = false;
  const auto* field = dyn_cast<FieldDecl>(member->getMemberDecl());
  if (field != nullptr && !unit_.IsSystem(field->getLocation())) {
    if (field->getType().isVolatileQualified()) {
      AddHazard(member, member->getExprLoc(), "determinism-atomic", "volatile " + field->getNameAsString(), HazardMode::kEffect);
    }
    OnComparatorType(field->getType(), field->getLocation());
  }
  if (place.kind == Place::kLocal && place.field != nullptr &&
      env_.uninitialized.count({place.variable, place.field}) != 0) {
    AddHazard(member, member->getExprLoc(), "determinism-uninitialized-read",
              place.variable->getNameAsString() + "." + place.field->getNameAsString(), HazardMode::kEffect);
  }
  if (field != nullptr && UnitBuilder::Name(field->getParent()).rfind("lockstep::workflow::", 0) == 0) {
    const llvm::StringRef name = field->getName();
    if (name.contains("history_length") || name.contains("history_size") || name.contains("continue_as_new")) {
      bool fresh = false;
      Call& call = Record(member, &fresh);
      call.role = CallRole::kLibrary;
      call.name = unit_.Str(name);
      call.implicit = call.rollover = true;
    }
  }
  if (place.kind == Place::kLocal && place.field != nullptr && field == place.field) return Read(place);
  LabelSet labels = Read(place);
  labels.Join(base_labels);
  if (field != nullptr && place.kind != Place::kLocal && !unit_.IsSystem(field->getLocation())) {
    labels.Add(MakeLabel(LabelKind::kField, FieldId(field)));
  }
  return labels;
}

void FunctionLowering::Assign(const Expr* target, const Expr* source, LabelSet labels, const Expr* whole) {
  const Place place = PlaceOf(target);
  WriteKind kind = WriteKind::kAssign;
  if (source != nullptr && labels.empty() && source->isEvaluatable(context_)) kind = WriteKind::kConstant;
  if (!order_.empty() && source != nullptr && kind == WriteKind::kAssign) {
    const auto profile = [&](const Expr* expr) {
      llvm::FoldingSetNodeID id;
      expr->IgnoreParenImpCasts()->Profile(id, context_, true);
      return id;
    };
    const auto same = [&](const Expr* a, const Expr* b) { return profile(a) == profile(b); };
    // `if (a < best) best = a;` and `best = std::min(best, a)` commute.
    if (!ifs_.empty()) {
      const Expr* condition = ifs_.back()->getCond()->IgnoreParenImpCasts();
      const Expr* left = nullptr;
      const Expr* right = nullptr;
      if (const auto* compare = dyn_cast<BinaryOperator>(condition); compare != nullptr && compare->isRelationalOp()) {
        left = compare->getLHS();
        right = compare->getRHS();
      } else if (const auto* call = dyn_cast<CXXOperatorCallExpr>(condition); call != nullptr && call->getNumArgs() == 2) {
        left = call->getArg(0);
        right = call->getArg(1);
      }
      if (left != nullptr && ((same(left, target) && same(right, source)) || (same(right, target) && same(left, source)))) {
        kind = WriteKind::kCommutative;
      }
    }
    if (const auto* call = dyn_cast<CallExpr>(source->IgnoreParenImpCasts()); call != nullptr && call->getDirectCallee() != nullptr) {
      const std::string name = UnitBuilder::Name(call->getDirectCallee());
      if ((name == "std::min" || name == "std::max") && call->getNumArgs() >= 2 &&
          (same(call->getArg(0), target) || same(call->getArg(1), target))) {
        kind = WriteKind::kCommutative;
      }
    }
    if (const auto* sum = dyn_cast<BinaryOperator>(source->IgnoreParenImpCasts())) {
      const auto code = sum->getOpcode();
      const bool commutes = code == BO_Add || code == BO_Or || code == BO_And || code == BO_Xor || code == BO_Mul ||
                            code == BO_LOr || code == BO_LAnd;
      if (commutes && !IsFloating(target->getType()) && target->getType()->isIntegralOrEnumerationType() &&
          (same(sum->getLHS(), target) || same(sum->getRHS(), target))) {
        kind = WriteKind::kCommutative;
      }
    }
  }
  Write(place, std::move(labels), kind, whole);
}

LabelSet FunctionLowering::ValueOfBinary(const BinaryOperator* op) {
  const BinaryOperatorKind code = op->getOpcode();
  if (code == BO_Comma) {
    Value(op->getLHS());
    Discarded(op->getLHS());
    return Value(op->getRHS());
  }
  if (op->isLogicalOp()) {
    LabelSet labels = Value(op->getLHS());
    ForgetChecked(op->getLHS());
    Environment before = env_;
    labels.Join(Value(op->getRHS()));
    env_.Join(before);
    return labels;
  }
  if (code == BO_Assign) {
    LabelSet labels = Value(op->getRHS());
    const Expr* target = op->getLHS()->IgnoreParenImpCasts();
    // Indices and objects on the left are evaluated; the assigned variable itself is not read.
    if (const auto* member = dyn_cast<MemberExpr>(target)) {
      loading_ = true;  // Writing one member leaves the others as they are.
      if (!isa<CXXThisExpr>(member->getBase()->IgnoreParenImpCasts())) Value(member->getBase());
      loading_ = false;
      if (const auto* field = dyn_cast<FieldDecl>(member->getMemberDecl()); field != nullptr && field->getType().isVolatileQualified()) {
        Value(target);
      }
    } else {
      const auto saved = std::exchange(env_.uninitialized, {});  // Writing an element reads nothing.
      Value(target);
      env_.uninitialized = saved;
    }
    Assign(op->getLHS(), op->getRHS(), labels, op);
    return labels;
  }
  const size_t first = trace_.size();
  LabelSet left = Value(op->getLHS());
  const size_t middle = trace_.size();
  const bool divides = code == BO_Div || code == BO_Rem || code == BO_DivAssign || code == BO_RemAssign;
  if (divides && IsDefinite(op->getRHS(), Definite::kZero)) {
    AddHazard(op, op->getOperatorLoc(), "determinism-undefined-behavior", "division by zero", HazardMode::kEffect);
  }
  LabelSet right = Value(op->getRHS());
  const size_t last = trace_.size();
  if (middle > first && last > middle && !op->isCompoundAssignmentOp() && code != BO_Shl && code != BO_Shr && !op->isPtrMemOp()) {
    out_.unsequenced.push_back({unit_.SiteOf(op->getOperatorLoc()),
                                {{trace_.begin() + static_cast<long>(first), trace_.begin() + static_cast<long>(middle)},
                                 {trace_.begin() + static_cast<long>(middle), trace_.begin() + static_cast<long>(last)}}});
  }
  LabelSet labels = left;
  labels.Join(right);
  if (op->isCompoundAssignmentOp()) {
    const Place place = PlaceOf(op->getLHS());
    const bool floating = IsFloating(op->getLHS()->getType());
    const bool commutes = !floating && op->getLHS()->getType()->isIntegralOrEnumerationType() &&
                          (code == BO_AddAssign || code == BO_SubAssign || code == BO_MulAssign || code == BO_OrAssign ||
                           code == BO_AndAssign || code == BO_XorAssign);
    if (floating && (code == BO_AddAssign || code == BO_SubAssign || code == BO_MulAssign)) {
      for (const auto& scope : order_) {
        if (OutsideOrderScope(scope, place)) {
          AddHazard(op, op->getOperatorLoc(), "determinism-float-reduction", "floating-point accumulation in hash order",
                    HazardMode::kEffect);
        }
      }
    }
    const auto in_hash_order = hazard_memo_.find({op, "determinism-float-reduction"});
    if (floating && in_hash_order == hazard_memo_.end()) {
      const uint32_t hazard = AddHazard(op, op->getOperatorLoc(), "determinism-float-decision", "floating-point arithmetic", HazardMode::kTaint);
      labels.Add(MakeLabel(LabelKind::kHazard, hazard));
    }
    Write(place, labels, commutes ? WriteKind::kCommutative : WriteKind::kAppend, op);
    return labels;
  }
  if (op->isComparisonOp()) {
    OnComparison(op, &labels);
  } else if (IsFloating(op->getType()) && !op->isValueDependent() && !op->isEvaluatable(context_)) {
    std::erase_if(labels.raw(), [&](Label label) {
      return KindOf(label) == LabelKind::kHazard &&
             unit_.Text(out_.hazards[IndexOf(label)].rule) == "determinism-float-decision";
    });
    const uint32_t hazard = AddHazard(op, op->getOperatorLoc(), "determinism-float-decision", "floating-point arithmetic", HazardMode::kTaint);
    labels.Add(MakeLabel(LabelKind::kHazard, hazard));
  }
  return labels;
}

LabelSet FunctionLowering::ValueOfUnary(const UnaryOperator* op, bool load) {
  if (op->getOpcode() == UO_AddrOf) {
    const Expr* sub = op->getSubExpr()->IgnoreParens();
    if (const auto* ref = dyn_cast<DeclRefExpr>(sub)) return ValueOfReference(ref);
  }
  if (op->getOpcode() == UO_Deref) {
    const Expr* pointer = op->getSubExpr();
    if (IsDefinite(pointer, Definite::kNull)) {
      AddHazard(op, op->getExprLoc(), "determinism-undefined-behavior", "null pointer dereferenced", HazardMode::kEffect);
    }
    // Reading bytes as a wider scalar: misaligned or against the aliasing rules, whatever the buffer holds.
    const auto* cast = dyn_cast<CXXReinterpretCastExpr>(pointer->IgnoreParens());
    if (load && cast != nullptr && op->getType()->isScalarType() && context_.getTypeSize(op->getType()) > 8) {
      const QualType from = cast->getSubExpr()->getType();
      const QualType bytes = from->isPointerType() ? from->getPointeeType() : QualType();
      if (!bytes.isNull() && (bytes->isCharType() || bytes->isStdByteType())) {
        AddHazard(op, op->getExprLoc(), "determinism-undefined-behavior", "bytes read as " + op->getType().getUnqualifiedType().getAsString(),
                  HazardMode::kEffect);
      }
    }
  }
  LabelSet labels = Value(op->getSubExpr());
  if (op->isIncrementDecrementOp()) {
    // A counter is not workflow input: label it for names built from it.
    LabelSet counted = labels;
    counted.Add(MakeLabel(LabelKind::kGlobal, unit_.Str("counter:")));
    Write(PlaceOf(op->getSubExpr()), counted, WriteKind::kCommutative, op);
    return counted;
  }
  if (op->getOpcode() == UO_Deref) {
    const Place place = PlaceOf(op->getSubExpr());
    if (place.kind == Place::kLocal && env_.uninitialized.count({place.variable, nullptr}) != 0) {
      AddHazard(op, op->getExprLoc(), "determinism-uninitialized-read", place.variable->getNameAsString(), HazardMode::kEffect);
    }
  }
  return labels;
}

LabelSet FunctionLowering::ValueOfCast(const CastExpr* cast, bool load) {
  loading_ = load || cast->getCastKind() == CK_LValueToRValue;
  LabelSet labels = Value(cast->getSubExpr());
  loading_ = false;
  switch (cast->getCastKind()) {
    case CK_PointerToIntegral:
      labels.Join(HazardLabel(AddHazard(cast, cast->getExprLoc(), "determinism-pointer-value", "cast of a pointer to an integer",
                                        HazardMode::kTaint)));
      break;
    case CK_LValueToRValueBitCast: {
      const QualType from = cast->getSubExpr()->getType().getNonReferenceType();
      if (isa<BuiltinBitCastExpr>(cast) && from->isRecordType() && !context_.hasUniqueObjectRepresentations(from)) {
        AddHazard(cast, cast->getExprLoc(), "determinism-padding-compare", "bit cast of " + from.getAsString(), HazardMode::kEffect);
      }
      break;
    }
    case CK_IntegralCast:
      OnEnumCast(cast);
      break;
    case CK_FloatingToIntegral:
      if (!cast->isEvaluatable(context_)) {
        std::erase_if(labels.raw(), [&](Label label) {
          return KindOf(label) == LabelKind::kHazard &&
                 unit_.Text(out_.hazards[IndexOf(label)].rule) == "determinism-float-decision";
        });
        labels.Join(HazardLabel(AddHazard(cast, cast->getExprLoc(), "determinism-float-decision",
                                          "conversion of a floating-point value", HazardMode::kTaint)));
      }
      break;
    default: break;
  }
  if (const auto* conversion = cast->getConversionFunction()) (void)conversion;  // The sub-expression is the call.
  return labels;
}

// A constant beyond the bits of an enumeration without a fixed type has no value there.
void FunctionLowering::OnEnumCast(const CastExpr* cast) {
  const auto* type = cast->getType()->getAs<EnumType>();
  if (type == nullptr || cast->getSubExpr()->isValueDependent()) return;
  const EnumDecl* decl = type->getDecl()->getDefinition();
  Expr::EvalResult value;
  if (decl == nullptr || decl->isFixed() || !cast->getSubExpr()->EvaluateAsInt(value, context_)) return;
  llvm::APInt end, begin;
  decl->getValueRange(end, begin);  // `end` is one past the largest value.
  const llvm::APSInt& number = value.Val.getInt();
  if (llvm::APSInt::compareValues(number, llvm::APSInt(end, false)) >= 0 || llvm::APSInt::compareValues(number, llvm::APSInt(begin, false)) < 0) {
    AddHazard(cast, cast->getExprLoc(), "determinism-undefined-behavior", "value outside the range of " + decl->getNameAsString(), HazardMode::kEffect);
  }
}

LabelSet FunctionLowering::ValueOfLambda(const LambdaExpr* lambda) {
  const CXXMethodDecl* body = lambda->getCallOperator();
  if (lambda->isGenericLambda()) {
    if (const auto* generic = lambda->getDependentCallOperator()) {
      for (auto* special : generic->specializations()) unit_.Enqueue(special);
    }
  } else {
    unit_.Enqueue(body);
  }
  LabelSet labels(MakeLabel(LabelKind::kFunction, unit_.Str(unit_.Key(body))));
  auto init = lambda->capture_init_begin();
  for (const auto& capture : lambda->captures()) {
    const Expr* value = init != lambda->capture_init_end() ? *init++ : nullptr;
    if (capture.capturesThis() && value != nullptr) unit_.NoteAliases(value->getType()->isPointerType() ? value->getType() : context_.getPointerType(value->getType()));
    if (!capture.capturesVariable()) continue;
    const auto* variable = dyn_cast<VarDecl>(capture.getCapturedVar());
    if (variable == nullptr) continue;
    if (lambda->isInitCapture(&capture)) {
      LabelSet inner = variable->getInit() != nullptr ? Value(variable->getInit()) : LabelSet();
      AddFlow(Port::kGlobal, CellId(variable), inner);
      continue;
    }
    (void)value;
    used_variables_.insert(variable);
    if (capture.getCaptureKind() == LCK_ByRef) shared_.insert(variable), ForgetLocal(variable);
    if (!variable->isLocalVarDeclOrParm()) continue;
    AddFlow(Port::kGlobal, CellId(variable), Read(Place{.kind = Place::kLocal, .variable = variable}));
  }
  return labels;
}

}  // namespace lockstep::analyzer
