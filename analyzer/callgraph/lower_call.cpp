// Calls: which function runs, what the models say about it, what flows in and out.
#include "analyzer/callgraph/function_lowering.h"

namespace lockstep::analyzer {

using namespace clang;

Call& FunctionLowering::Record(const Expr* expr, bool* fresh) {
  const auto [it, added] = call_memo_.emplace(std::make_pair(static_cast<const void*>(expr), 0U),
                                              static_cast<uint32_t>(out_.calls.size()));
  if (added) {
    out_.calls.emplace_back();
    out_.calls.back().site = SiteOf(expr->getExprLoc());
  }
  trace_.push_back(it->second);
  Call& call = out_.calls[it->second];
  for (const auto& scope : order_) {
    if (std::find(call.order.begin(), call.order.end(), scope.hazard) == call.order.end()) call.order.push_back(scope.hazard);
  }
  *fresh = added;
  return call;
}

Label FunctionLowering::OutLabel(uint32_t call, uint32_t argument) {
  const auto [it, added] = out_memo_.emplace(std::make_pair(call, argument), static_cast<uint32_t>(out_.outs.size()));
  if (added) out_.outs.emplace_back(call, argument);
  return MakeLabel(LabelKind::kOut, it->second);
}

void FunctionLowering::AddFlow(Port port, uint32_t index, const LabelSet& labels) {
  if (labels.empty()) return;
  const auto [it, added] = flow_memo_.emplace(std::make_pair(static_cast<int>(port), index), static_cast<uint32_t>(out_.flows.size()));
  if (added) out_.flows.push_back({port, index, {}});
  out_.flows[it->second].labels.Join(labels);
}

void FunctionLowering::AddEffect(EffectKind kind, llvm::StringRef what, SourceLocation at) {
  const Site site = unit_.SiteOf(at);
  if (!effect_memo_.emplace(static_cast<int>(kind), site.file, site.line, site.column).second) return;
  out_.effects.push_back({kind, unit_.Str(what), site});
}

void FunctionLowering::CallDestructor(QualType type, SourceLocation at, const Stmt* memo) {
  const QualType element = context_.getBaseElementType(type);
  const auto* record = element->getAsCXXRecordDecl();
  if (record == nullptr || !record->hasDefinition() || record->hasTrivialDestructor()) return;
  const auto* destructor = record->getDestructor();
  if (destructor == nullptr) return;
  (void)memo;
  std::vector<std::string> through;
  std::string callee;
  if (unit_.IsSystem(destructor)) {
    if (!destructor->hasBody() && !destructor->isDefaulted()) return;
    for (const auto& end : unit_.Tunnel(destructor).ends) {
      if (unit_.IsSystem(end.function)) continue;
      unit_.Enqueue(end.function);
      through.push_back(unit_.Key(end.function));
    }
    if (through.empty()) return;
  } else {
    unit_.Enqueue(destructor);
    callee = unit_.Key(destructor);
  }
  const auto key = std::make_pair(static_cast<const void*>(destructor), at.getRawEncoding() | 1U);
  const auto [it, added] = call_memo_.emplace(key, static_cast<uint32_t>(out_.calls.size()));
  if (!added) return;
  Call call;
  call.site = unit_.SiteOf(at);
  call.implicit = true;
  call.name = unit_.Str(UnitBuilder::Name(destructor));
  if (callee.empty()) call.role = CallRole::kLibrary;
  else call.callee = unit_.Str(callee);
  for (const auto& one : through) call.through.push_back(unit_.Str(one));
  out_.calls.push_back(std::move(call));
}

void FunctionLowering::EvaluateArguments(CallSite& site) {
  std::vector<std::vector<uint32_t>> operands;
  size_t first = trace_.size();
  const bool unsequenced = !isa<CXXOperatorCallExpr>(site.expr) ||
                           (cast<CXXOperatorCallExpr>(site.expr)->isInfixBinaryOp() &&
                            cast<CXXOperatorCallExpr>(site.expr)->getOperator() != OO_LessLess &&
                            cast<CXXOperatorCallExpr>(site.expr)->getOperator() != OO_GreaterGreater &&
                            cast<CXXOperatorCallExpr>(site.expr)->getOperator() != OO_Equal);
  const auto close = [&] {
    if (trace_.size() > first) operands.emplace_back(trace_.begin() + static_cast<long>(first), trace_.end());
    first = trace_.size();
  };
  if (site.object != nullptr) {
    site.object_labels = Value(site.object);
    // The object of a member call is evaluated before the arguments; of a binary operator it is not.
    if (isa<CXXOperatorCallExpr>(site.expr)) close();
    else first = trace_.size();
  }
  for (const Expr* arg : site.args) {
    site.arg_labels.push_back(Value(arg));
    close();
    const Expr* plain = arg->IgnoreParenImpCasts();
    if (const auto* unary = dyn_cast<UnaryOperator>(plain); unary != nullptr && unary->getOpcode() == UO_Deref) plain = unary->getSubExpr()->IgnoreParenImpCasts();
    if (isa<CXXThisExpr>(plain)) unit_.NoteAliases(plain->getType());
  }
  const auto* construct = dyn_cast<CXXConstructExpr>(site.expr);
  const bool braces = construct != nullptr && construct->isListInitialization();
  if (unsequenced && !braces && operands.size() >= 2) {
    out_.unsequenced.push_back({unit_.SiteOf(site.expr->getExprLoc()), std::move(operands)});
  }
}

std::optional<std::string> ConstantText(const Expr* expr) {
  for (int depth = 0; expr != nullptr && depth < 16; ++depth) {
    expr = expr->IgnoreImplicit()->IgnoreParenCasts();
    if (const auto* literal = dyn_cast<clang::StringLiteral>(expr)) {
      if (!literal->isOrdinary() && !literal->isUTF8()) return std::nullopt;
      return literal->getString().str();
    }
    if (const auto* construct = dyn_cast<CXXConstructExpr>(expr); construct != nullptr && construct->getNumArgs() >= 1) {
      expr = construct->getArg(0);
    } else if (const auto* list = dyn_cast<InitListExpr>(expr); list != nullptr && list->getNumInits() == 1) {
      expr = list->getInit(0);
    } else if (const auto* suffixed = dyn_cast<UserDefinedLiteral>(expr); suffixed != nullptr && suffixed->getNumArgs() >= 1) {
      expr = suffixed->getArg(0);
    } else if (const auto* ref = dyn_cast<DeclRefExpr>(expr)) {
      const auto* variable = dyn_cast<VarDecl>(ref->getDecl());
      if (variable == nullptr || isa<ParmVarDecl>(variable)) return std::nullopt;
      const QualType type = variable->getType();
      const bool constant = type.isConstQualified() || variable->isConstexpr() || type->isArrayType();
      const bool text = type->isPointerType() ? type->getPointeeType().isConstQualified() && constant : constant;
      if (!text) return std::nullopt;
      expr = variable->getAnyInitializer();
    } else if (const auto* member = dyn_cast<MemberExpr>(expr)) {
      const auto* variable = dyn_cast<VarDecl>(member->getMemberDecl());
      if (variable == nullptr || !(variable->getType().isConstQualified() || variable->isConstexpr())) return std::nullopt;
      expr = variable->getAnyInitializer();
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

namespace {

// Whether an optional argument was written: a default is not, nor is a source location handed through.
bool IsGiven(const std::vector<const Expr*>& args, int index) {
  if (index < 0) return true;
  const auto position = static_cast<size_t>(index);
  if (position >= args.size() || isa<CXXDefaultArgExpr>(args[position])) return false;
  return UnitBuilder::RecordName(args[position]->getType()) != "std::source_location";
}

}  // namespace

const Model* FunctionLowering::Choose(const std::vector<Model>& models, const CallSite& site) const {
  const Model* fallback = nullptr;
  for (const Model& model : models) {
    if (!IsGiven(site.args, model.needs_argument)) continue;
    if (!model.derives.empty()) {
      const auto* method = dyn_cast<CXXMethodDecl>(site.callee);
      if (method == nullptr || !unit_.DerivesFrom(method->getParent(), model.derives)) continue;
    }
    if (model.literal_argument >= 0) {
      const auto position = static_cast<size_t>(model.literal_argument);
      if (position >= site.args.size()) continue;
      const auto text = ConstantText(site.args[position]);
      if (!text || !MatchesPattern(model.literal_pattern, *text)) continue;
      return &model;
    }
    if (model.if_float) {
      bool floating = IsFloating(site.callee->getReturnType());
      for (const Expr* arg : site.args) {
        floating = floating || IsFloating(arg->getType());
        const auto* iterator = arg->getType()->getAsCXXRecordDecl();
        if (const auto* special = dyn_cast_or_null<ClassTemplateSpecializationDecl>(iterator)) {
          for (const auto& argument : special->getTemplateArgs().asArray()) {
            if (argument.getKind() != TemplateArgument::Type) continue;
            QualType type = argument.getAsType();
            if (type->isPointerType()) type = type->getPointeeType();
            floating = floating || IsFloating(type);
          }
        } else if (arg->getType()->isPointerType()) {
          floating = floating || IsFloating(arg->getType()->getPointeeType());
        }
      }
      if (!floating) continue;
    }
    if (fallback == nullptr) fallback = &model;
  }
  return fallback;
}

LabelSet FunctionLowering::ValueOfCall(const CallExpr* expr) {
  if (expr->isUnevaluatedBuiltinCall(context_)) return {};
  const FunctionDecl* callee = expr->getDirectCallee();
  if (expr->isCallToStdMove()) return Value(expr->getArg(0));
  if (callee == nullptr) {
    if (isa<CXXPseudoDestructorExpr>(expr->getCallee()->IgnoreParens())) return {};
    LabelSet target = Value(expr->getCallee());
    std::vector<const Expr*> args(expr->arg_begin(), expr->arg_end());
    return Indirect(expr, target, expr->getCallee()->getType(), args);
  }
  CallSite site;
  site.expr = expr;
  site.callee = callee;
  site.args.assign(expr->arg_begin(), expr->arg_end());
  if (const auto* member = dyn_cast<CXXMemberCallExpr>(expr)) {
    site.object = member->getImplicitObjectArgument();
    const auto* method = member->getMethodDecl();
    const auto* access = dyn_cast<MemberExpr>(expr->getCallee()->IgnoreParens());
    if (method != nullptr && method->isVirtual() && access != nullptr && !access->hasQualifier()) {
      site.is_virtual = true;
      const CXXMethodDecl* exact = nullptr;
      if (const Expr* object = site.object) {
        exact = const_cast<CXXMethodDecl*>(method)->getDevirtualizedMethod(object, false);
        const Expr* plain = object->IgnoreParenImpCasts();
        const auto* ref = dyn_cast<DeclRefExpr>(plain);
        if (exact == nullptr && !access->isArrow() && ref != nullptr && !ref->getDecl()->getType()->isReferenceType()) exact = method;
      }
      if (exact != nullptr) {
        site.callee = callee = exact;
        site.is_virtual = false;
      }
    }
  } else if (isa<CXXOperatorCallExpr>(expr) && isa<CXXMethodDecl>(callee) && !site.args.empty()) {
    site.object = site.args.front();
    site.args.erase(site.args.begin());
  }
  // A call through std::function and its like goes where the stored callable goes.
  if (const auto* op = dyn_cast<CXXOperatorCallExpr>(expr); op != nullptr && op->getOperator() == OO_Call && site.object != nullptr) {
    if (UnitBuilder::IsCallableWrapper(site.object->getType())) {
      LabelSet target = Value(site.object);
      const auto* special = dyn_cast_or_null<ClassTemplateSpecializationDecl>(
          site.object->getType().getNonReferenceType()->getAsCXXRecordDecl());
      QualType signature;
      if (special != nullptr && special->getTemplateArgs().size() > 0 &&
          special->getTemplateArgs()[0].getKind() == TemplateArgument::Type) {
        signature = special->getTemplateArgs()[0].getAsType();
      }
      return Indirect(expr, target, signature, site.args);
    }
  }
  site.names = UnitBuilder::Candidates(callee, site.object != nullptr ? site.object->IgnoreParenImpCasts()->getType() : QualType());
  // Aliases count by the name they were written with: high_resolution_clock is another clock in disguise.
  if (const auto* ref = dyn_cast<DeclRefExpr>(expr->getCallee()->IgnoreParenImpCasts()); ref != nullptr && ref->hasQualifier()) {
    const Type* qualifier = ref->getQualifier()->getAsType();
    std::vector<std::string> aliases;
    for (QualType type = qualifier != nullptr ? QualType(qualifier, 0) : QualType(); !type.isNull();) {
      const auto* alias = type->getAs<TypedefType>();
      if (alias == nullptr) break;
      aliases.push_back(UnitBuilder::Name(alias->getDecl()) + "::" + callee->getNameAsString());
      type = alias->desugar();
    }
    site.names.insert(site.names.begin(), aliases.begin(), aliases.end());
  }
  return Finish(site);
}

LabelSet FunctionLowering::Indirect(const CallExpr* expr, const LabelSet& target, QualType function_type,
                                    std::vector<const Expr*> args) {
  std::vector<LabelSet> labels;
  for (const Expr* arg : args) labels.push_back(Value(arg));
  bool fresh = false;
  Call& call = Record(expr, &fresh);
  call.kind = CallKind::kIndirect;
  call.target.Join(target);
  if (fresh) {
    call.name = unit_.Str(unit_.SourceText(expr->getCallee()->getSourceRange()).take_front(60));
    if (isa<CXXOperatorCallExpr>(expr)) call.name = unit_.Str(unit_.SourceText(expr->getArg(0)->getSourceRange()).take_front(60));
    if (!function_type.isNull()) call.signature = unit_.Str(unit_.Signature(function_type));
    call.args.resize(args.size() + 1);
    call.holds_result = unit_.MayHoldCallable(expr->getType());
    call.text_result = unit_.IsText(expr->getType());
    for (size_t i = 0; i < args.size() && i < 63; ++i) {
      if (unit_.MayHoldCallable(args[i]->getType())) call.holds |= uint64_t{1} << (i + 1);
      if (unit_.IsCallable(args[i]->getType())) call.runs |= uint64_t{1} << (i + 1);
      if (unit_.IsText(args[i]->getType())) call.texts |= uint64_t{1} << (i + 1);
    }
  }
  for (size_t i = 0; i < labels.size(); ++i) {
    call.args[i + 1].Join(labels[i]);
  }
  const auto index = static_cast<uint32_t>(&call - out_.calls.data());
  Significant();
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i]->isGLValue() && !args[i]->getType().isConstQualified()) {
      Write(PlaceOf(args[i]), LabelSet(OutLabel(index, static_cast<uint32_t>(i) + 1)), WriteKind::kCallee, expr);
    }
  }
  return LabelSet(MakeLabel(LabelKind::kResult, index));
}

LabelSet FunctionLowering::ValueOfConstruct(const CXXConstructExpr* expr) {
  const CXXConstructorDecl* constructor = expr->getConstructor();
  if (constructor->isCopyOrMoveConstructor() && !unit_.IsSystem(constructor)) unit_.Copied(constructor->getParent());
  if (constructor->isCopyOrMoveConstructor() && (constructor->isDefaulted() || unit_.IsSystem(constructor)) && expr->getNumArgs() >= 1) {
    LabelSet labels = Value(expr->getArg(0));
    if (unit_.IsStandardLibrary(constructor) || constructor->isTrivial()) return labels;
  }
  if (UnitBuilder::IsCallableWrapper(expr->getType())) {
    // Wrapping a callable does not call it.
    LabelSet labels;
    for (const Expr* arg : expr->arguments()) labels.Join(Value(arg));
    return labels;
  }
  CallSite site;
  site.expr = expr;
  site.callee = constructor;
  site.args.assign(expr->arg_begin(), expr->arg_end());
  site.names = UnitBuilder::Candidates(constructor, QualType());
  return Finish(site);
}

LabelSet FunctionLowering::ValueOfNew(const CXXNewExpr* expr) {
  unit_.NoteAliases(expr->getType());
  LabelSet labels;
  for (const Expr* placement : expr->placement_arguments()) labels.Join(Value(placement));
  if (expr->getInitializer() != nullptr) labels.Join(Value(expr->getInitializer()));
  if (expr->isArray() && expr->getArraySize()) labels.Join(Value(*expr->getArraySize()));
  if (const auto* allocate = expr->getOperatorNew(); allocate != nullptr && !unit_.IsSystem(allocate) && allocate->hasBody()) {
    bool fresh = false;
    Call& call = Record(expr, &fresh);
    call.callee = unit_.Str(unit_.Key(allocate));
    call.name = unit_.Str(UnitBuilder::Name(allocate));
    unit_.Enqueue(allocate);
  }
  const bool no_throw = std::any_of(expr->placement_arguments().begin(), expr->placement_arguments().end(),
                                    [](const Expr* arg) { return UnitBuilder::RecordName(arg->getType()) == "std::nothrow_t"; });
  if (no_throw) {
    const uint32_t hazard = AddHazard(expr, expr->getExprLoc(), "determinism-allocation-probe", "new (std::nothrow)", HazardMode::kTaint);
    out_.hazards[hazard].sinks = kSinkBranch;
    labels.Join(HazardLabel(hazard));
  }
  return labels;
}

LabelSet FunctionLowering::ValueOfDelete(const CXXDeleteExpr* expr) {
  Value(expr->getArgument());
  const QualType type = expr->getDestroyedType();
  if (type.isNull()) return {};
  const auto* record = type->getAsCXXRecordDecl();
  if (record == nullptr || !record->hasDefinition()) return {};
  const auto* destructor = record->getDestructor();
  if (destructor == nullptr || unit_.IsSystem(destructor)) return {};
  unit_.Enqueue(destructor);
  bool fresh = false;
  Call& call = Record(expr, &fresh);
  call.callee = unit_.Str(unit_.Key(destructor));
  call.name = unit_.Str(UnitBuilder::Name(destructor));
  call.implicit = true;
  if (destructor->isVirtual()) {
    call.kind = CallKind::kVirtual;
    call.receiver = unit_.Str(unit_.Key(record));
  }
  return {};
}

void FunctionLowering::WriteOut(const Expr* arg, const LabelSet& labels, const Expr* at) {
  const Place place = PlaceOf(arg);
  Write(place, labels, WriteKind::kCallee, at);
}

bool IsAccessor(const FunctionDecl* callee) {
  const std::string name = callee->getNameAsString();
  return llvm::StringSwitch<bool>(name)
      .Cases("begin", "end", "rbegin", "rend", "at", "find", "front", "back", "data", "lower_bound", true)
      .Cases("upper_bound", "equal_range", "get", "value", "operator*", "operator->", "c_str", "top", "native", "str", true)
      .Cases("rdbuf", "flush", "size", "empty", "before_begin", "emplace_hint_none", true)
      .Default(false);
}

namespace {

// A parameter through which the callee can hand something back.
bool IsOutParameter(QualType type) {
  if (type->isRValueReferenceType()) return false;
  if (!type->isReferenceType() && !type->isPointerType()) return false;
  const QualType pointee = type->getPointeeType();
  return !pointee.isConstQualified() && !pointee->isFunctionType();
}

bool IsReadable(const FunctionDecl* callee, const UnitBuilder& unit, QualType object) {
  if (IsAccessor(callee)) return true;
  // Subscripts of maps insert; those of sequences only name an element.
  return callee->getOverloadedOperator() == OO_Subscript && !IsOrderedContainer(unit, object) && !IsUnorderedContainer(unit, object);
}

}  // namespace

LabelSet FunctionLowering::Finish(CallSite& site) {
  OnDefiniteCall(site);
  EvaluateArguments(site);
  bool fresh = false;
  Record(site.expr, &fresh);
  site.index = trace_.back();
  {
    Call& call = out_.calls[site.index];
    call.awaited = call.awaited || false;
    call.name = unit_.Str(site.names.back());
    call.asserted = !unit_.facts().asserts.empty() && site.expr->getExprLoc().isMacroID() && InAssert(site.expr->getExprLoc());
    call.args.resize(site.args.size() + 1);
    call.args[0].Join(site.object_labels);
    call.holds_result = unit_.MayHoldCallable(site.expr->getType());
    call.text_result = unit_.IsText(site.expr->getType());
    if (site.object != nullptr && unit_.IsText(site.object->getType())) call.texts |= 1;
    const bool constructs = isa<CXXConstructorDecl>(site.callee);
    if (constructs ? call.holds_result : site.object != nullptr && unit_.MayHoldCallable(site.object->getType())) call.holds |= 1;
    for (size_t i = 0; i < site.args.size() && i < 63; ++i) {
      if (unit_.MayHoldCallable(site.args[i]->getType())) call.holds |= uint64_t{1} << (i + 1);
      if (unit_.IsCallable(site.args[i]->getType())) call.runs |= uint64_t{1} << (i + 1);
      if (unit_.IsText(site.args[i]->getType())) call.texts |= uint64_t{1} << (i + 1);
    }
    for (size_t i = 0; i < site.args.size(); ++i) call.args[i + 1].Join(site.arg_labels[i]);
    call.suspends = unit_.models().Has(Trait::kSuspends, site.names);
    call.rollover = unit_.models().Has(Trait::kRollover, site.names);
    call.spawns = unit_.models().Has(Trait::kSpawns, site.names);
    constexpr std::pair<Trait, CallableRole> kRoles[] = {{Trait::kQuery, CallableRole::kQuery},
                                                         {Trait::kSignal, CallableRole::kSignal},
                                                         {Trait::kUpdate, CallableRole::kUpdate},
                                                         {Trait::kPredicate, CallableRole::kPredicate},
                                                         {Trait::kSideEffect, CallableRole::kSideEffect}};
    for (const auto& [trait, role] : kRoles) {
      if (unit_.models().Has(trait, site.names)) call.callable = role;
    }
  }
  if (site.object != nullptr && (site.callee->getOverloadedOperator() == OO_Subscript || site.callee->getOverloadedOperator() == OO_Star)) {
    const Place place = PlaceOf(site.object);
    if (place.kind == Place::kLocal && env_.uninitialized.count({place.variable, nullptr}) != 0) {
      AddHazard(site.expr, site.expr->getExprLoc(), "determinism-uninitialized-read", place.variable->getNameAsString(), HazardMode::kEffect);
    }
  }
  const bool own = unit_.IsOwn(site.callee);
  const std::vector<Model>* models = unit_.models().Find(site.names, own);
  // Declared only: a library that this file spells out by hand, or a function that another file of the program defines.
  bool assumed = false;
  if (models == nullptr && own && !site.callee->isDefined() && site.callee->isExternallyVisible()) {
    models = unit_.models().Find(site.names);
    assumed = models != nullptr;
  }
  const uint32_t marks = unit_.MarksOf(site.callee);
  const bool system = unit_.IsSystem(site.callee);
  // The runtime is trusted from outside; its own code is analysed like any other.
  const bool runtime = site.names.back().rfind("lockstep::workflow::", 0) == 0 &&
                       unit_.Text(out_.name).rfind("lockstep::workflow::", 0) != 0;
  const Model* model = models != nullptr && !models->empty() ? Choose(*models, site) : nullptr;
  bool cut = false;
  if (models != nullptr) {
    for (const Model& one : *models) {
      cut = cut || one.kind == ModelKind::kCut;
      if (one.kind == ModelKind::kCommand && IsGiven(site.args, one.needs_argument)) model = &one;
    }
  }
  // A broad `safe` pattern of a library does not stop us at functions that the program itself defines in that namespace.
  if (model != nullptr && model->kind == ModelKind::kSafe && !system && !runtime && site.callee->isDefined() &&
      !unit_.IsStandardLibrary(site.callee)) {
    model = nullptr;
  }
  OnCall(site, out_.calls[site.index]);
  if ((marks & kMarkActivity) != 0) {
    CommandCall(site, out_.calls[site.index], nullptr);
    return {};
  }
  if (model != nullptr && model->kind == ModelKind::kCommand) {
    CommandCall(site, out_.calls[site.index], model);
    if (cut) out_.calls[site.index].rollover = out_.calls[site.index].rollover;
    return {};
  }
  if (cut) {
    out_.calls[site.index].role = CallRole::kCut;
    Significant();
    return {};
  }
  if (model != nullptr && model->kind == ModelKind::kInert) {
    out_.calls[site.index].role = CallRole::kInert;
    return {};
  }
  if (model != nullptr && model->kind == ModelKind::kHazard) {
    LabelSet result = HazardCall(site, out_.calls[site.index], *model);
    if (!assumed) return result;
    for (auto& hazard : out_.hazards) {
      if (hazard.site == out_.calls[site.index].site && unit_.Text(hazard.rule) == model->rule) hazard.unless_defined = unit_.Str(unit_.Key(site.callee));
    }
    out_.calls[site.index].role = CallRole::kPlain;
    result.Join(Plain(site, out_.calls[site.index]));
    return result;
  }
  if (model != nullptr || (system && unit_.IsStandardLibrary(site.callee)) || runtime) return Library(site, out_.calls[site.index]);
  return Plain(site, out_.calls[site.index]);
}

LabelSet FunctionLowering::HazardCall(CallSite& site, Call& call, const Model& model) {
  call.role = CallRole::kLibrary;
  // Having a mutex or an atomic as a member does nothing yet; using it does.
  if (isa<CXXConstructorDecl>(site.callee) && (model.rule == "determinism-blocking-sync" || model.rule == "determinism-atomic")) {
    const bool plain = std::all_of(site.args.begin(), site.args.end(), [&](const Expr* arg) {
      return arg->getType()->isArithmeticType() || arg->getType()->isEnumeralType() || arg->getType()->isPointerType();
    });
    if (site.args.empty() || (member_init_ && plain)) return {};
  }
  // Output to the console goes by the stream it names.
  const bool console = std::any_of(site.args.begin(), site.args.end(), [&](const Expr* arg) {
    const auto* ref = dyn_cast<DeclRefExpr>(arg->IgnoreParenImpCasts());
    return ref != nullptr && isa<VarDecl>(ref->getDecl()) && unit_.models().FindVariable(UnitBuilder::Name(ref->getDecl())) != nullptr;
  });
  if (model.rule == "determinism-file-io" && console) return {};
  const bool value_mode = model.mode != HazardMode::kEffect;
  const bool returns = !site.callee->getReturnType()->isVoidType() || isa<CXXConstructorDecl>(site.callee);
  HazardMode mode = model.mode;
  if (value_mode && !returns && !model.out) mode = HazardMode::kEffect;
  const std::string rule = model.rule;
  const std::string& last = site.names.back();
  const bool order = rule == "determinism-directory-order" && last != "opendir" && last != "fdopendir" && last != "closedir" && last != "rewinddir";
  const uint32_t hazard = AddHazard(site.expr, site.expr->getExprLoc(), rule, site.names.back(), mode, order);
  if (order) out_.hazards[hazard].result_order = true;
  out_.hazards[hazard].sinks = model.sinks;
  FixCall(hazard, site);
  LabelSet label = HazardLabel(hazard);
  if (model.out) {
    for (size_t i = 0; i < site.args.size(); ++i) {
      const QualType type = site.args[i]->getType();
      if (type->isPointerType() || site.args[i]->isGLValue()) WriteOut(site.args[i], label, site.expr);
    }
    return {};
  }
  if (mode == HazardMode::kEffect) Significant();
  LabelSet result = label;
  if (mode == HazardMode::kEffect && !order) result = LabelSet();
  // Callables that a hazardous library function is given run too.
  for (const auto& labels : site.arg_labels) result.Join(labels);
  if (isa<CXXConstructorDecl>(site.callee) || site.object == nullptr) return result;
  result.Join(site.object_labels);
  return result;
}

void FunctionLowering::CommandCall(CallSite& site, Call& call, const Model* model) {
  call.role = CallRole::kCommand;
  call.name_args = model != nullptr ? model->name_args : 0;
  call.decide_args = model != nullptr ? model->decide_args : 0;
  call.callee = unit_.Str(unit_.Key(site.callee));
  call.suspends = call.suspends || model == nullptr;
  for (const auto& labels : site.arg_labels) TouchOrder(labels);
  for (const Expr* arg : site.args) {
    if (const auto text = ConstantText(arg)) {
      call.literal = unit_.Str(*text);
      break;
    }
  }
  if (call.literal == 0) {
    if (const auto* special = site.callee->getTemplateSpecializationArgs(); special != nullptr && special->size() > 0 &&
                                                                            (*special)[0].getKind() == TemplateArgument::Type) {
      call.literal = unit_.Str((*special)[0].getAsType().getAsString());
    } else {
      call.literal = unit_.Str(site.names.back());
    }
  }
  Significant();
  OnStoredTypes(site);
}

// Which arguments a library function calls, as far as its code can be seen: those that it only stores are called by whoever takes them
// out again. Functors and lambdas that it calls by name are found in its code.
void FunctionLowering::RunsOf(const CallSite& site, const UnitBuilder::LibraryCalls& library) {
  uint64_t& runs = out_.calls[site.index].runs;
  // What std::bind and its like hold is called through them.
  if (site.object != nullptr && site.callee->getOverloadedOperator() == OO_Call && (library.pointers || library.wrappers)) runs |= 1;
  // These call through tables that they build at compile time.
  const std::string& name = site.names.back();
  if (runs == 0 || !library.complete || name == "std::visit" || name == "std::call_once") return;
  for (size_t i = 0; i < site.args.size() && i < 63; ++i) {
    const QualType type = site.args[i]->getType().getNonReferenceType();
    const bool wrapper = UnitBuilder::IsCallableWrapper(type);
    const bool pointer = !wrapper && !type->isRecordType();
    const bool called = wrapper ? library.wrappers : pointer ? library.pointers || library.wrappers : false;
    if (!called) runs &= ~(uint64_t{1} << (i + 1));
  }
}

LabelSet FunctionLowering::Library(CallSite& site, Call& call) {
  call.role = CallRole::kLibrary;
  const uint32_t index = site.index;
  const bool hashes = unit_.models().Has(Trait::kHashes, site.names);
  if (hashes) call.role = CallRole::kHash;
  if (site.callee->hasBody() && unit_.IsSystem(site.callee)) {
    const auto& library = unit_.Tunnel(site.callee);
    RunsOf(site, library);
    for (const auto& end : library.ends) {
      if (unit_.IsSystem(end.function)) {
        // A modelled constructor that the library runs for us, such as a thread emplaced into a vector.
        const auto* found = unit_.models().Find({UnitBuilder::Name(end.function)});
        if (found != nullptr && isa<CXXConstructorDecl>(end.function) && end.function->getNumParams() + 1 > 0 &&
            !cast<CXXConstructorDecl>(end.function)->isCopyOrMoveConstructor()) {
          AddHazard(site.expr, site.expr->getExprLoc(), found->front().rule, UnitBuilder::Name(end.function), found->front().mode);
        }
        continue;
      }
      unit_.Enqueue(end.function);
      const uint32_t key = unit_.Str(unit_.Key(end.function));
      auto& through = out_.calls[index].through;
      if (std::find(through.begin(), through.end(), key) == through.end()) through.push_back(key);
    }
  }
  OnWholeContainer(site);
  LabelSet result;
  bool callables = !out_.calls[index].through.empty();
  for (const auto& labels : site.arg_labels) {
    result.Join(labels);
    for (Label label : labels) callables = callables || KindOf(label) == LabelKind::kFunction;
  }
  // What a container calls back (hash, comparator) decides where an element goes, not what it is.
  QualType holder = site.object != nullptr ? site.object->IgnoreParenImpCasts()->getType() : QualType();
  if (isa<CXXConstructorDecl>(site.callee)) holder = site.expr->getType();
  if (!holder.isNull() && (IsUnorderedContainer(unit_, holder) || IsOrderedContainer(unit_, holder))) callables = false;
  if (OnUnordered(site, &result)) return result;
  result.Join(site.object_labels);
  if (isa<CXXConstructorDecl>(site.callee) && !holder.isNull() && IsOrderedContainer(unit_, holder)) result = WithoutOrder(result);
  if (callables) result.Add(MakeLabel(LabelKind::kResult, index));
  const bool sorts = OnSort(site);
  if (unit_.models().Has(Trait::kOrderFree, site.names)) result = WithoutOrder(result);
  if (site.names.back() == "std::accumulate" && !IsFloating(site.callee->getReturnType())) result = WithoutOrder(result);
  OnStringBuild(site, &result);
  OnPointerFormat(site, &result);
  OnPadding(site);
  if (sorts) return result;
  // What the call may have changed.
  const auto* method = dyn_cast<CXXMethodDecl>(site.callee);
  const std::string name = site.callee->getNameAsString();
  if (site.object != nullptr && method != nullptr && !method->isConst() && !isa<CXXConstructorDecl>(method) &&
      !IsReadable(site.callee, unit_, site.object->getType())) {
    LabelSet written;
    for (const auto& labels : site.arg_labels) written.Join(labels);
    const Place place = PlaceOf(site.object);
    if (name == "clear" || (name == "operator=" && place.exact)) {
      Write(place, name == "clear" ? LabelSet() : written, WriteKind::kAssign, site.expr);
    } else {
      const bool commutes = name == "reserve" || name == "erase" || name == "resize" || name == "shrink_to_fit";
      Write(place, written, commutes ? WriteKind::kCommutative : WriteKind::kInsert, site.expr);
    }
    // `s += x` appends in whatever order the loop runs.
    if (name == "operator+=" || name == "append" || name == "push_back" || name == "operator<<") TouchOrder(written);
  }
  const bool algorithm = site.object == nullptr && site.args.size() >= 2 && !isa<CXXConstructorDecl>(site.callee);
  for (size_t i = 0; i < site.args.size(); ++i) {
    const QualType parameter = i < site.callee->getNumParams() ? site.callee->getParamDecl(static_cast<unsigned>(i))->getType() : QualType();
    LabelSet others;
    for (size_t k = 0; k < site.args.size(); ++k) {
      if (k != i) others.Join(site.arg_labels[k]);
    }
    others.Join(site.object_labels);
    if (callables) others.Add(MakeLabel(LabelKind::kResult, index));
    const QualType type = site.args[i]->getType();
    const bool out = !parameter.isNull() && IsOutParameter(parameter) && site.args[i]->getType().isConstQualified() == false;
    const bool iterator = algorithm && type->isRecordType() && unit_.IsStandardLibrary(site.callee) &&
                          UnitBuilder::RecordName(type).find("terator") != std::string::npos;
    const bool stream = name == "operator<<" || name == "operator>>" || name == "getline";
    if ((out && (unit_.IsStandardLibrary(site.callee) == false || stream || name == "swap" || name == "exchange" || name == "ws" ||
                 name == "from_chars" || name == "getline" || parameter->isPointerType())) ||
        (out && algorithm && name != "begin" && name != "end" && name != "forward" && name != "move" && name != "get" && name != "data" &&
         name != "tie" && name != "ref" && name != "min" && name != "max")) {
      if (!others.empty() || !order_.empty()) Write(PlaceOf(site.args[i]), others, WriteKind::kInsert, site.expr);
    } else if (iterator && !others.empty()) {
      Write(PlaceOf(site.args[i]), others, WriteKind::kInsert, site.expr);
    }
  }
  if (!callables && !isa<CXXConstructorDecl>(site.callee)) return result;
  return result;
}

LabelSet FunctionLowering::Plain(CallSite& site, Call& call) {
  const uint32_t index = site.index;
  const FunctionDecl* definition = site.callee->getDefinition();
  const auto* method = dyn_cast<CXXMethodDecl>(site.callee);
  call.callee = unit_.Str(unit_.Key(site.callee));
  if (unit_.models().Has(Trait::kHashes, site.names)) call.role = CallRole::kHash;
  if (definition == nullptr && !site.callee->isDefaulted() && unit_.IsSystem(site.callee) &&
      !(method != nullptr && method->isVirtual())) {
    call.role = CallRole::kOpaque;
  }
  if (site.callee->getBuiltinID() != 0 && definition == nullptr) {
    call.role = CallRole::kLibrary;  // A compiler builtin that no model names computes from its arguments.
  }
  if (site.callee->isTrivial() || (site.callee->isDefaulted() && definition == nullptr)) call.role = CallRole::kLibrary;
  if (site.is_virtual && method != nullptr) {
    call.kind = CallKind::kVirtual;
    QualType type = site.object->getType();
    if (type->isPointerType()) type = type->getPointeeType();
    const auto* record = type->getAsCXXRecordDecl();
    call.receiver = unit_.Str(unit_.Key(record != nullptr ? record : method->getParent()));
    call.port = unit_.models().Has(Trait::kPort, UnitBuilder::Name(method->getParent())) ||
                (record != nullptr && unit_.models().Has(Trait::kPort, UnitBuilder::Name(record)));
    call.role = CallRole::kPlain;
  }
  unit_.Enqueue(site.callee);
  if (site.is_virtual && method != nullptr) {
    // The hierarchy may extend into headers that are not the program's.
    unit_.Enqueue(method);
  }
  if (site.callee->getReturnType()->isVoidType()) {
    for (const auto& scope : order_) out_.hazards[scope.hazard].touched = true;  // Called for its effect, in that order.
  }
  Significant();
  OnPadding(site);
  if (call.role == CallRole::kLibrary || call.role == CallRole::kHash) {
    LabelSet result = site.object_labels;
    for (const auto& labels : site.arg_labels) result.Join(labels);
    if (method != nullptr && site.object != nullptr &&
        (method->isCopyAssignmentOperator() || method->isMoveAssignmentOperator())) {
      Assign(site.object, site.args.empty() ? nullptr : site.args.front(), site.arg_labels.empty() ? LabelSet() : site.arg_labels.front(),
             site.expr);
    }
    return result;
  }
  if (call.role == CallRole::kOpaque) {
    LabelSet result = site.object_labels;
    for (const auto& labels : site.arg_labels) result.Join(labels);
    return result;
  }
  LabelSet result(MakeLabel(LabelKind::kResult, index));
  if (isa<CXXConstructorDecl>(site.callee)) result = LabelSet(OutLabel(index, 0));
  if (method != nullptr && site.object != nullptr && !method->isConst() && !method->isStatic() && !is_lambda_ &&
      !method->getParent()->isLambda()) {
    const Place place = PlaceOf(site.object);
    if (place.kind == Place::kLocal || place.kind == Place::kParam) {
      Write(place, LabelSet(OutLabel(index, 0)), WriteKind::kCallee, site.expr);
    } else if (place.kind == Place::kField) {
      AddFlow(Port::kField, FieldId(place.field), LabelSet(OutLabel(index, 0)));
      AddEffect(EffectKind::kWriteField, place.field->getName(), site.expr->getExprLoc());
    } else if (place.kind == Place::kGlobal) {
      AddFlow(Port::kGlobal, place.index, LabelSet(OutLabel(index, 0)));
      AddEffect(EffectKind::kWriteGlobal, "", site.expr->getExprLoc());
    }
  }
  for (size_t i = 0; i < site.args.size() && i < site.callee->getNumParams(); ++i) {
    if (!IsOutParameter(site.callee->getParamDecl(static_cast<unsigned>(i))->getType())) continue;
    Write(PlaceOf(site.args[i]), LabelSet(OutLabel(index, static_cast<uint32_t>(i) + 1)), WriteKind::kCallee, site.expr);
  }
  return result;
}

}  // namespace lockstep::analyzer
