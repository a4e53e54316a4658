// Statements: control flow, declarations, loops and their order, handlers.
#include "analyzer/callgraph/function_lowering.h"

namespace lockstep::analyzer {

using namespace clang;

void FunctionLowering::Environment::Join(const Environment& other) {
  if (other.dead) return;
  if (dead) {
    *this = other;
    return;
  }
  for (const auto& [slot, labels] : other.values) values[slot].Join(labels);
  uninitialized.insert(other.uninitialized.begin(), other.uninitialized.end());
  std::erase_if(definite, [&](const auto& fact) {
    const auto it = other.definite.find(fact.first);
    return it == other.definite.end() || it->second != fact.second;
  });
  stale.insert(other.stale.begin(), other.stale.end());
  suspended = suspended || other.suspended;
}

FunctionLowering::FunctionLowering(UnitBuilder& unit, const FunctionDecl* function)
    : unit_(unit), context_(unit.context()), declaration_(function) {
  out_.key = unit_.Str(unit_.Key(function));
  out_.name = unit_.Str(UnitBuilder::Name(function));
  out_.signature = unit_.Str(unit_.Signature(function->getType()));
  out_.params = function->getNumParams();
  out_.site = unit_.SiteOf(function->getLocation());
  out_.holds_result = unit_.MayHoldCallable(function->getReturnType());
  out_.text_result = unit_.IsText(function->getReturnType());
  for (unsigned i = 0; i < function->getNumParams() && i < 63; ++i) {
    if (unit_.MayHoldCallable(function->getParamDecl(i)->getType())) out_.holds |= uint64_t{1} << (i + 1);
    if (unit_.IsText(function->getParamDecl(i)->getType())) out_.texts |= uint64_t{1} << (i + 1);
  }
  if (const auto* member = dyn_cast<CXXMethodDecl>(function); member != nullptr && unit_.MayHoldCallable(context_.getRecordType(member->getParent()))) {
    out_.holds |= 1;
  }
  if (unit_.IsSystem(function)) out_.flags |= kSystemCode;
  if (const auto* method = dyn_cast<CXXMethodDecl>(function)) {
    out_.owner = unit_.Str(unit_.Key(method->getParent()));
    is_lambda_ = method->getParent()->isLambda();
    if (is_lambda_) out_.flags |= kLambda;
    if (method->getAccess() == AS_private) out_.flags |= kPrivate;
  }
  // A function that hands out a reference of its own gives the object another name; a member hands out a part of its object.
  if (const auto* method = dyn_cast<CXXMethodDecl>(function); method == nullptr || method->isStatic()) unit_.NoteAliases(function->getReturnType());
  if (isa<CXXDestructorDecl>(function)) out_.flags |= kDestructor;
  if (isa<CXXConstructorDecl>(function)) out_.flags |= kConstructor;
  if (const auto* proto = function->getType()->getAs<FunctionProtoType>()) {
    if (!isUnresolvedExceptionSpec(proto->getExceptionSpecType()) && proto->isNothrow() && !isa<CXXDestructorDecl>(function)) {
      out_.flags |= kNoexcept;
    }
  }
}

FunctionLowering::FunctionLowering(UnitBuilder& unit, const VarDecl* initialized)
    : unit_(unit), context_(unit.context()), initialized_(initialized) {
  out_.key = unit_.Str(unit_.InitializerKey(initialized));
  out_.name = unit_.Str("initialiser of " + UnitBuilder::Name(initialized));
  out_.site = unit_.SiteOf(initialized->getLocation());
  out_.flags |= kInitializer;
  if (unit_.IsSystem(initialized)) out_.flags |= kSystemCode;
}

void FunctionLowering::Run() {
  if (initialized_ != nullptr) {
    const VarDecl* owner = nullptr;
    const Expr* init = initialized_->getAnyInitializer(owner);
    if (init != nullptr && !init->isValueDependent()) {
      AddFlow(Port::kGlobal, GlobalId(initialized_), Value(init));
    }
  } else {
    const Stmt* body = declaration_->getBody();
    is_coroutine_ = body != nullptr && isa<CoroutineBodyStmt>(body);
    if (is_coroutine_) out_.flags |= kCoroutine;
    for (const auto* parameter : declaration_->parameters()) {
      const int index = ParamIndex(parameter);
      env_.values[{parameter, nullptr}] = LabelSet(MakeLabel(LabelKind::kParam, static_cast<uint32_t>(index)));
      OnVariable(parameter);
    }
    if (const auto* constructor = dyn_cast<CXXConstructorDecl>(declaration_)) {
      for (const auto* init : constructor->inits()) {
        const FieldDecl* field = init->getAnyMember();
        if (!init->isWritten() && field != nullptr) implicit_at_ = field->getLocation();
        member_init_ = field != nullptr;
        const LabelSet labels = init->getInit() != nullptr ? Value(init->getInit()) : LabelSet();
        member_init_ = false;
        implicit_at_ = SourceLocation();
        if (field == nullptr) continue;
        const Expr* expr = init->getInit();
        if (expr != nullptr && !isa<ImplicitValueInitExpr>(expr)) written_fields_.insert(field);
        if (isa_and_nonnull<ImplicitValueInitExpr>(expr)) written_fields_.insert(field);
        AddFlow(Port::kField, FieldId(field), labels);
        AddFlow(Port::kOutParam, 0, labels);
      }
    }
    if (body != nullptr) Execute(body);
    if (const auto* constructor = dyn_cast<CXXConstructorDecl>(declaration_)) OnConstructor(constructor);
    if (const auto* destructor = dyn_cast<CXXDestructorDecl>(declaration_)) {
      for (const auto* field : destructor->getParent()->fields()) {
        CallDestructor(field->getType(), declaration_->getLocation(), nullptr);
      }
      for (const auto& base : destructor->getParent()->bases()) {
        CallDestructor(base.getType(), declaration_->getLocation(), nullptr);
      }
    }
    OnFunction();
  }
  if ((out_.flags & kSystemCode) == 0) OnPragmasAndWarnings();
  unit_.unit().functions.push_back(std::move(out_));
}

int FunctionLowering::ParamIndex(const VarDecl* variable) const {
  const auto* parameter = dyn_cast<ParmVarDecl>(variable);
  if (parameter == nullptr || declaration_ == nullptr) return -1;
  const unsigned position = parameter->getFunctionScopeIndex();
  if (position < declaration_->getNumParams() && declaration_->getParamDecl(position) == parameter) {
    return static_cast<int>(position) + 1;
  }
  // The copy of a parameter in a coroutine frame, or the parameter of another declaration.
  return -1;
}

void FunctionLowering::Significant(const VarDecl* local) {
  const SourceManager& sources = context_.getSourceManager();
  for (auto& scope : branches_) {
    if (local != nullptr) {
      const SourceLocation at = sources.getExpansionLoc(local->getLocation());
      const SourceLocation begin = sources.getExpansionLoc(scope.range.getBegin());
      const SourceLocation end = sources.getExpansionLoc(scope.range.getEnd());
      if (!sources.isBeforeInTranslationUnit(at, begin) && !sources.isBeforeInTranslationUnit(end, at)) continue;
    }
    scope.significant = true;
  }
}

namespace {

// The call that makes a value, below conversions and copies.
const Expr* CallOf(const Expr* expr) {
  for (int depth = 0; expr != nullptr && depth < 12; ++depth) {
    expr = expr->IgnoreImplicit()->IgnoreParenCasts();
    if (isa<CallExpr>(expr)) return expr;
    const auto* construct = dyn_cast<CXXConstructExpr>(expr);
    if (construct == nullptr || construct->getNumArgs() == 0) return nullptr;
    expr = construct->getArg(0);
  }
  return nullptr;
}

// Whether a condition asks somebody outside the program for the next item: the loop ends when the source does.
bool ReadsOn(const Stmt* stmt, const UnitBuilder& unit) {
  if (stmt == nullptr || isa<LambdaExpr>(stmt)) return false;
  if (const auto* call = dyn_cast<CallExpr>(stmt); call != nullptr && call->getDirectCallee() != nullptr) {
    const auto* callee = call->getDirectCallee();
    const auto* method = dyn_cast<CXXMethodDecl>(callee);
    const llvm::StringRef name = callee->getDeclName().isIdentifier() ? callee->getName() : "";
    const bool extracts = callee->getOverloadedOperator() == OO_GreaterGreater || name == "getline";
    // Accessors and comparisons of the library ask nothing.
    const bool takes = method != nullptr && !method->isConst() && !name.empty() && !IsAccessor(callee);
    if (extracts && unit.IsSystem(callee)) return true;
    if (takes && unit.IsSystem(callee)) return true;
    if (callee->isExternC() && callee->getNumParams() > 0) return true;
  }
  return std::any_of(stmt->child_begin(), stmt->child_end(), [&](const Stmt* child) { return ReadsOn(child, unit); });
}

}  // namespace

void FunctionLowering::Execute(const Stmt* stmt) {
  if (stmt == nullptr || env_.dead || !unit_.Step()) return;
  if (const auto* expr = dyn_cast<Expr>(stmt)) {
    const Expr* outer = std::exchange(statement_, expr->IgnoreImplicit());
    Value(expr);
    statement_ = outer;
    Discarded(expr);
    return;
  }
  switch (stmt->getStmtClass()) {
    case Stmt::CompoundStmtClass:
      for (const Stmt* child : cast<CompoundStmt>(stmt)->body()) Execute(child);
      return;
    case Stmt::CoroutineBodyStmtClass: {
      const auto* body = cast<CoroutineBodyStmt>(stmt);
      // Promise calls of the program's own task types; the API's are trusted.
      for (const Stmt* part : {static_cast<const Stmt*>(body->getPromiseDeclStmt()), static_cast<const Stmt*>(body->getInitSuspendStmt())}) {
        const uint32_t before = suspensions_;
        Execute(part);
        suspensions_ = before;
        env_.suspended = false;
      }
      Execute(body->getBody());
      env_.dead = false;
      Execute(body->getExceptionHandler());
      return;
    }
    case Stmt::DeclStmtClass:
      for (const Decl* decl : cast<DeclStmt>(stmt)->decls()) {
        if (const auto* variable = dyn_cast<VarDecl>(decl)) Declare(variable);
      }
      return;
    case Stmt::IfStmtClass: return If(cast<IfStmt>(stmt));
    case Stmt::SwitchStmtClass: return Switch(cast<SwitchStmt>(stmt));
    case Stmt::CaseStmtClass:
    case Stmt::DefaultStmtClass: return Execute(cast<SwitchCase>(stmt)->getSubStmt());
    case Stmt::WhileStmtClass: {
      const auto* loop = cast<WhileStmt>(stmt);
      if (loop->getConditionVariable() != nullptr) Declare(loop->getConditionVariable());
      const VarDecl* variable = loop->getConditionVariable();
      const bool reads = variable != nullptr && variable->getInit() != nullptr && ReadsOn(variable->getInit(), unit_);
      return LoopBody(loop, loop->getCond(), nullptr, loop->getBody(), !reads && !Progresses(loop->getCond(), loop->getBody()));
    }
    case Stmt::DoStmtClass: {
      const auto* loop = cast<DoStmt>(stmt);
      bool constant = true;
      const bool once = loop->getCond()->EvaluateAsBooleanCondition(constant, context_) && !constant;
      if (once) return Execute(loop->getBody());
      return LoopBody(loop, loop->getCond(), nullptr, loop->getBody(), !Progresses(loop->getCond(), loop->getBody()));
    }
    case Stmt::ForStmtClass: return For(cast<ForStmt>(stmt));
    case Stmt::CXXForRangeStmtClass: return RangeFor(cast<CXXForRangeStmt>(stmt));
    case Stmt::CXXTryStmtClass: return Try(cast<CXXTryStmt>(stmt));
    case Stmt::ReturnStmtClass:
      Return(cast<ReturnStmt>(stmt)->getRetValue(), stmt->getBeginLoc());
      return;
    case Stmt::CoreturnStmtClass: {
      const auto* ret = cast<CoreturnStmt>(stmt);
      if (ret->isImplicit()) return;
      Return(ret->getOperand(), stmt->getBeginLoc());
      return;
    }
    case Stmt::BreakStmtClass:
    case Stmt::ContinueStmtClass:
      Significant();
      env_.dead = true;
      return;
    case Stmt::GotoStmtClass:
    case Stmt::IndirectGotoStmtClass: Significant(); return;
    case Stmt::LabelStmtClass:
      env_.definite.clear();  // Whoever jumps here may have changed anything.
      return Execute(cast<LabelStmt>(stmt)->getSubStmt());
    case Stmt::AttributedStmtClass: return Execute(cast<AttributedStmt>(stmt)->getSubStmt());
    case Stmt::GCCAsmStmtClass:
    case Stmt::MSAsmStmtClass:
      AddHazard(stmt, stmt->getBeginLoc(), "determinism-dynamic-load", "inline assembly", HazardMode::kEffect);
      Significant();
      return;
    case Stmt::NullStmtClass: return;
    default:
      for (const Stmt* child : stmt->children()) Execute(child);
      return;
  }
}

void FunctionLowering::Declare(const VarDecl* variable) {
  for (auto& scope : order_) scope.inner.insert(variable);
  if (variable->isStaticLocal() || variable->getTLSKind() != VarDecl::TLS_None) {
    OnVariable(variable);
    if (variable->hasInit()) {
      unit_.EnqueueInitializer(variable);
      bool fresh = false;
      Call& call = Record(variable->getInit(), &fresh);
      call.site = unit_.SiteOf(variable->getLocation());
      call.callee = unit_.Str(unit_.InitializerKey(variable));
      call.name = unit_.Str("initialiser of " + UnitBuilder::Name(variable));
      call.implicit = true;
    }
    return;
  }
  env_.stale.erase(variable);
  env_.definite.erase(variable);
  borrowed_.erase(variable);
  OnVariable(variable);
  LabelSet labels;
  const Expr* init = variable->getInit();
  if (init != nullptr) {
    labels = Value(init);
    const Expr* plain = init->IgnoreParenImpCasts();
    if (LambdaBehind(init) != nullptr) callables_[variable] = plain;
  }
  const QualType type = variable->getType();
  if (type->isReferenceType() && init != nullptr) {
    const Place place = PlaceOf(init);
    if (place.kind != Place::kNone) aliases_[variable] = place;
  }
  if (!order_.empty()) {
    // The iterator of an iterator loop is clean like the variable of a range loop.
    for (const auto& scope : order_) labels.Remove(MakeLabel(LabelKind::kHazard, scope.hazard));
  }
  env_.values[{variable, nullptr}] = labels;
  DeclareDefinite(variable);
  if (init != nullptr) {
    const auto lock = hazard_memo_.find({init->IgnoreImplicit(), "determinism-blocking-sync"});
    if (lock != hazard_memo_.end()) locks_.emplace_back(variable, lock->second);
  }
  if (const auto* decomposition = dyn_cast<DecompositionDecl>(variable)) {
    for (const auto* binding : decomposition->bindings()) {
      if (const auto* holding = binding->getHoldingVar()) {
        env_.values[{holding, nullptr}] = labels;
        if (!order_.empty()) order_.back().inner.insert(holding);
      }
    }
  }
  DestroyLocals(variable);
}

void FunctionLowering::DestroyLocals(const VarDecl* variable) {
  if (variable->getType()->isReferenceType()) return;
  CallDestructor(variable->getType(), variable->getLocation(), nullptr);
}

// A condition decides what happens, or, where both ways only write to the log, nothing.
void FunctionLowering::Condition(const Expr* condition, const LabelSet& labels, bool significant) {
  if (!labels.empty()) {
    const Site site = unit_.SiteOf(condition->getExprLoc());
    const auto known = std::find_if(out_.branches.begin(), out_.branches.end(), [&](const Branch& branch) { return branch.site == site; });
    if (known == out_.branches.end()) {
      out_.branches.push_back({site, !significant, labels});
    } else {
      known->inert = known->inert && !significant;
      known->labels.Join(labels);
    }
  }
  if (significant) TouchOrder(labels);
}

void FunctionLowering::If(const IfStmt* stmt) {
  if (stmt->isConsteval()) {
    Execute(stmt->isNonNegatedConsteval() ? stmt->getElse() : stmt->getThen());
    return;
  }
  Execute(stmt->getInit());
  if (stmt->getConditionVariable() != nullptr) Declare(stmt->getConditionVariable());
  const Expr* condition = stmt->getCond();
  if (stmt->isConstexpr()) {
    if (const auto taken = stmt->getNondiscardedCase(context_)) {
      if (*taken != nullptr) Execute(*taken);
      return;
    }
  }
  const LabelSet labels = Value(condition);
  bool constant = false;
  if (!condition->isValueDependent() && condition->EvaluateAsBooleanCondition(constant, context_)) {
    Execute(constant ? stmt->getThen() : stmt->getElse());
    return;
  }
  ForgetChecked(condition);
  branches_.push_back({stmt->getSourceRange()});
  ifs_.push_back(stmt);
  Environment before = env_;
  Execute(stmt->getThen());
  Environment after_then = std::move(env_);
  env_ = std::move(before);
  Execute(stmt->getElse());
  env_.Join(after_then);
  ifs_.pop_back();
  const bool significant = branches_.back().significant;
  branches_.pop_back();
  Condition(condition, labels, significant);
}

void FunctionLowering::Switch(const SwitchStmt* stmt) {
  Execute(stmt->getInit());
  if (stmt->getConditionVariable() != nullptr) Declare(stmt->getConditionVariable());
  const LabelSet labels = Value(stmt->getCond());
  branches_.push_back({stmt->getSourceRange()});
  const Environment before = env_;
  Environment joined = env_;
  const auto* body = dyn_cast<CompoundStmt>(stmt->getBody());
  if (body == nullptr) {
    Execute(stmt->getBody());
    joined.Join(env_);
  } else {
    for (const Stmt* child : body->body()) {
      if (isa<SwitchCase>(child)) {
        joined.Join(env_);
        const bool falls_through = !env_.dead;
        Environment start = before;
        if (falls_through) start.Join(env_);
        env_ = std::move(start);
      }
      const bool was_dead = env_.dead;
      Execute(child);
      if (isa<BreakStmt>(child) && !was_dead) {
        env_.dead = false;
        joined.Join(env_);
        env_.dead = true;
      }
    }
    joined.Join(env_);
  }
  env_ = std::move(joined);
  env_.dead = before.dead;
  const bool significant = branches_.back().significant;
  branches_.pop_back();
  Condition(stmt->getCond(), labels, significant);
}

void FunctionLowering::LoopBody(const Stmt* loop, const Expr* condition, const Expr* increment, const Stmt* body,
                                bool unbounded) {
  const size_t first_call = trace_.size();
  ForgetChanged(loop);
  loops_.push_back(loop);
  scans_.push_back(condition);
  branches_.push_back({loop->getSourceRange()});
  LabelSet labels;
  std::set<uint32_t> drivers;
  bool never = false;
  if (condition != nullptr && !isa<DoStmt>(loop)) {
    bool constant = true;
    never = condition->EvaluateAsBooleanCondition(constant, context_) && !constant;
  }
  for (int round = 0; round < 2 && !never; ++round) {
    Environment before = env_;
    const size_t before_condition = trace_.size();
    if (condition != nullptr) labels.Join(Value(condition));
    drivers.insert(trace_.begin() + static_cast<long>(before_condition), trace_.end());
    Execute(body);
    env_.dead = false;  // `continue` and the next round
    if (increment != nullptr) Value(increment);
    env_.Join(before);
  }
  const bool significant = branches_.back().significant;
  branches_.pop_back();
  loops_.pop_back();
  scans_.pop_back();
  if (condition != nullptr && significant) Condition(condition, labels, true);
  std::vector<uint32_t> calls(trace_.begin() + static_cast<long>(first_call), trace_.end());
  std::sort(calls.begin(), calls.end());
  calls.erase(std::unique(calls.begin(), calls.end()), calls.end());
  if (calls.empty()) return;
  const Site site = unit_.SiteOf(loop->getBeginLoc());
  for (const auto& known : out_.loops) {
    if (known.site == site) return;
  }
  if (const auto* declared = dyn_cast<WhileStmt>(loop); declared != nullptr && declared->getConditionVariable() != nullptr) {
    const auto call = call_memo_.find({declared->getConditionVariable()->getInit() != nullptr ? CallOf(declared->getConditionVariable()->getInit()) : nullptr, 0U});
    if (call != call_memo_.end()) drivers.insert(call->second);
  }
  out_.loops.push_back({site, unbounded, std::move(calls), {drivers.begin(), drivers.end()}});
}

namespace {

// What an expression stands on: the variable or member at its beginning.
const ValueDecl* BaseOf(const Expr* expr) {
  for (int depth = 0; expr != nullptr && depth < 16; ++depth) {
    expr = expr->IgnoreParenImpCasts();
    if (const auto* ref = dyn_cast<DeclRefExpr>(expr)) return ref->getDecl();
    if (const auto* member = dyn_cast<MemberExpr>(expr)) return member->getMemberDecl();
    if (const auto* call = dyn_cast<CXXMemberCallExpr>(expr)) expr = call->getImplicitObjectArgument();
    else if (const auto* op = dyn_cast<CXXOperatorCallExpr>(expr); op != nullptr && op->getNumArgs() >= 1) expr = op->getArg(0);
    else if (const auto* unary = dyn_cast<UnaryOperator>(expr)) expr = unary->getSubExpr();
    else return nullptr;
  }
  return nullptr;
}

void CollectBases(const Stmt* stmt, std::set<const ValueDecl*>* bases) {
  if (stmt == nullptr) return;
  if (const auto* ref = dyn_cast<DeclRefExpr>(stmt)) bases->insert(ref->getDecl());
  if (const auto* member = dyn_cast<MemberExpr>(stmt)) bases->insert(member->getMemberDecl());
  for (const Stmt* child : stmt->children()) CollectBases(child, bases);
}

struct Progress {
  std::set<const ValueDecl*> moved;    // counted up or down
  std::set<const ValueDecl*> emptied;  // elements taken out
  std::set<const ValueDecl*> filled;   // elements put in
  std::vector<const Expr*> exits;      // conditions under which the body leaves the loop
};

bool Leaves(const Stmt* stmt) {
  if (stmt == nullptr) return false;
  if (isa<BreakStmt>(stmt) || isa<ReturnStmt>(stmt) || isa<CoreturnStmt>(stmt) || isa<CXXThrowExpr>(stmt)) return true;
  const auto* block = dyn_cast<CompoundStmt>(stmt);
  return block != nullptr && std::any_of(block->body_begin(), block->body_end(), Leaves);
}

void CollectProgress(const Stmt* stmt, Progress* out) {
  if (stmt == nullptr || isa<LambdaExpr>(stmt)) return;
  if (const auto* unary = dyn_cast<UnaryOperator>(stmt); unary != nullptr && unary->isIncrementDecrementOp()) {
    if (const auto* base = BaseOf(unary->getSubExpr())) out->moved.insert(base);
  } else if (const auto* binary = dyn_cast<CompoundAssignOperator>(stmt); binary != nullptr && !IsFloating(binary->getLHS()->getType())) {
    if (const auto* base = BaseOf(binary->getLHS())) out->moved.insert(base);
  } else if (const auto* op = dyn_cast<CXXOperatorCallExpr>(stmt)) {
    const auto kind = op->getOperator();
    if ((kind == OO_PlusPlus || kind == OO_MinusMinus || kind == OO_PlusEqual || kind == OO_MinusEqual) && op->getNumArgs() >= 1) {
      if (const auto* base = BaseOf(op->getArg(0))) out->moved.insert(base);
    }
  } else if (const auto* call = dyn_cast<CXXMemberCallExpr>(stmt)) {
    const auto* method = call->getMethodDecl();
    if (method != nullptr && !method->isConst() && method->getDeclName().isIdentifier()) {
      const llvm::StringRef name = method->getName();
      const auto* base = BaseOf(call->getImplicitObjectArgument());
      if (name.starts_with("pop") || name == "erase" || name == "clear" || name == "extract") out->emptied.insert(base);
      else if (name.starts_with("push") || name.starts_with("emplace") || name.starts_with("insert") || name == "append" || name == "assign") out->filled.insert(base);
    }
  } else if (const auto* branch = dyn_cast<IfStmt>(stmt)) {
    if (Leaves(branch->getThen())) out->exits.push_back(branch->getCond());
  }
  for (const Stmt* child : stmt->children()) CollectProgress(child, out);
}

bool Bounded(const Expr* condition, const Progress& progress) {
  if (condition == nullptr) return false;
  condition = condition->IgnoreParenImpCasts();
  if (const auto* binary = dyn_cast<BinaryOperator>(condition)) {
    if (binary->getOpcode() == BO_LAnd) return Bounded(binary->getLHS(), progress) || Bounded(binary->getRHS(), progress);
    if (binary->getOpcode() == BO_LOr) return Bounded(binary->getLHS(), progress) && Bounded(binary->getRHS(), progress);
  }
  std::set<const ValueDecl*> bases;
  CollectBases(condition, &bases);
  const bool counts = isa<BinaryOperator>(condition) || isa<CXXOperatorCallExpr>(condition) || isa<CXXRewrittenBinaryOperator>(condition) ||
                      isa<UnaryOperator>(condition);
  return std::any_of(bases.begin(), bases.end(), [&](const ValueDecl* base) {
    return (counts && progress.moved.count(base) != 0) || (progress.emptied.count(base) != 0 && progress.filled.count(base) == 0);
  });
}

}  // namespace

bool FunctionLowering::Progresses(const Expr* condition, const Stmt* body, const Expr* increment) const {
  Progress progress;
  CollectProgress(body, &progress);
  CollectProgress(condition, &progress);
  CollectProgress(increment, &progress);
  if (Bounded(condition, progress) || ReadsOn(condition, unit_)) return true;
  // `for (int i = 0;; ++i) { if (i == limit) break; ... }`
  return std::any_of(progress.exits.begin(), progress.exits.end(), [&](const Expr* exit) { return Bounded(exit, progress); });
}

void FunctionLowering::Suspended() {
  env_.suspended = true;
  ++suspensions_;
  env_.stale.insert(borrowed_.begin(), borrowed_.end());
}

void FunctionLowering::For(const ForStmt* stmt) {
  // `for (auto it = hash.begin(); ...)` walks the table like a range loop.
  bool pushed = false;
  if (const auto* decl = dyn_cast_or_null<DeclStmt>(stmt->getInit())) {
    for (const Decl* one : decl->decls()) {
      const auto* variable = dyn_cast<VarDecl>(one);
      if (variable == nullptr || variable->getInit() == nullptr) continue;
      const auto* begin = dyn_cast<CXXMemberCallExpr>(variable->getInit()->IgnoreImplicit());
      if (begin == nullptr || begin->getMethodDecl() == nullptr || begin->getImplicitObjectArgument() == nullptr) continue;
      const auto name = begin->getMethodDecl()->getNameAsString();
      if (name != "begin" && name != "cbegin") continue;
      const Expr* object = begin->getImplicitObjectArgument();
      if (!IsUnorderedContainer(unit_, object->getType())) continue;
      const uint32_t hazard = AddHazard(begin, begin->getExprLoc(), "determinism-unordered-iteration",
                                        UnitBuilder::RecordName(object->getType()), HazardMode::kOrder, true);
      out_.hazards[hazard].result_order = true;
      const Place place = PlaceOf(object);
      order_.push_back({hazard, stmt, place.variable, nullptr, {variable}});
      pushed = true;
      break;
    }
  }
  Execute(stmt->getInit());
  if (stmt->getConditionVariable() != nullptr) Declare(stmt->getConditionVariable());
  const bool unbounded = (stmt->getCond() == nullptr || stmt->getInc() == nullptr) && !Progresses(stmt->getCond(), stmt->getBody(), stmt->getInc());
  LoopBody(stmt, stmt->getCond(), stmt->getInc(), stmt->getBody(), unbounded);
  if (pushed) order_.pop_back();
}

namespace {

void CollectCallees(const Stmt* stmt, std::set<const FunctionDecl*>* found) {
  if (stmt == nullptr) return;
  if (const auto* declaration = dyn_cast<DeclStmt>(stmt)) {
    for (const Decl* decl : declaration->decls()) {
      if (const auto* variable = dyn_cast<VarDecl>(decl)) CollectCallees(variable->getInit(), found);
    }
  }
  if (const auto* call = dyn_cast<CallExpr>(stmt); call != nullptr && call->getDirectCallee() != nullptr) found->insert(call->getDirectCallee());
  for (const Stmt* child : stmt->children()) CollectCallees(child, found);
}

}  // namespace

// A loop over a view runs what the view was made with: the iterators call it.
LabelSet FunctionLowering::Iterate(const CXXForRangeStmt* stmt, const LabelSet& range) {
  std::set<const FunctionDecl*> callees;
  for (const Stmt* part : {static_cast<const Stmt*>(stmt->getBeginStmt()), static_cast<const Stmt*>(stmt->getEndStmt()), static_cast<const Stmt*>(stmt->getCond()),
                           static_cast<const Stmt*>(stmt->getInc()), static_cast<const Stmt*>(stmt->getLoopVarStmt())}) {
    CollectCallees(part, &callees);
  }
  std::set<uint32_t> through;
  bool values = false;
  for (const auto* callee : callees) {
    if (!unit_.IsSystem(callee) || !callee->hasBody()) continue;
    const auto& library = unit_.Tunnel(callee);
    values = values || library.pointers || library.wrappers || !library.complete;
    for (const auto& end : library.ends) {
      if (unit_.IsSystem(end.function)) continue;
      unit_.Enqueue(end.function);
      through.insert(unit_.Str(unit_.Key(end.function)));
    }
  }
  if (through.empty() && !values) return {};
  bool fresh = false;
  Call& call = Record(stmt->getCond(), &fresh);
  call.site = unit_.SiteOf(stmt->getRangeInit()->getExprLoc());
  call.role = CallRole::kLibrary;
  call.name = unit_.Str("iteration");
  call.implicit = true;
  call.args.resize(2);
  call.args[1].Join(range);
  call.holds |= 2;
  if (values) call.runs |= 2;
  call.through.assign(through.begin(), through.end());
  return LabelSet(MakeLabel(LabelKind::kResult, static_cast<uint32_t>(&call - out_.calls.data())));
}

void FunctionLowering::RangeFor(const CXXForRangeStmt* stmt) {
  Execute(stmt->getInit());
  const Expr* range = stmt->getRangeInit();
  if (range == nullptr) return;
  LabelSet labels = Value(range);
  const QualType type = range->getType();
  const std::string record = UnitBuilder::RecordName(type);
  std::optional<uint32_t> hazard;
  if (IsUnorderedContainer(unit_, type)) {
    hazard = AddHazard(stmt, stmt->getColonLoc().isValid() ? range->getExprLoc() : stmt->getBeginLoc(),
                       "determinism-unordered-iteration", record, HazardMode::kOrder, true);
  } else if (record == "google::protobuf::Map" || record == "google::protobuf::internal::MapFieldLite") {
    hazard = AddHazard(stmt, range->getExprLoc(), "determinism-noncanonical-serialization", record, HazardMode::kOrder, true);
  } else if (record == "std::filesystem::directory_iterator" || record == "std::filesystem::recursive_directory_iterator" ||
             record == "boost::filesystem::directory_iterator") {
    hazard = AddHazard(stmt, range->getExprLoc(), "determinism-directory-order", record, HazardMode::kTaint, true);
  } else if (record.rfind("std::ranges::", 0) == 0) {
    // A view of a hash table runs in its order.
    for (Label label : labels) {
      if (KindOf(label) != LabelKind::kHazard || hazard) continue;
      const Hazard& walk = out_.hazards[IndexOf(label)];
      if (walk.order && unit_.Text(walk.rule) == "determinism-unordered-iteration") hazard = IndexOf(label);
    }
    if (hazard) labels.Remove(MakeLabel(LabelKind::kHazard, *hazard));
  }
  // Calls to begin, end and the iterator's operators.
  if (!unit_.IsStandardLibrary(type->getAsCXXRecordDecl() != nullptr ? static_cast<const Decl*>(type->getAsCXXRecordDecl())
                                                                     : context_.getTranslationUnitDecl())) {
    Execute(stmt->getBeginStmt());
    Execute(stmt->getEndStmt());
  }
  if (hazard) {
    out_.hazards[*hazard].result_order = true;
    const Place place = PlaceOf(range);
    order_.push_back({*hazard, stmt, place.variable, nullptr, {}});
  }
  if (unit_.MayHoldCallable(type)) labels.Join(Iterate(stmt, labels));
  const VarDecl* variable = stmt->getLoopVariable();
  for (auto& scope : order_) scope.inner.insert(variable);
  const Place range_place = PlaceOf(range);
  if (variable->getType()->isReferenceType() && range_place.kind != Place::kNone) {
    Place element = range_place;
    element.exact = false;
    aliases_[variable] = element;
  }
  OnVariable(variable);
  env_.values[{variable, nullptr}] = labels;
  if (const auto* decomposition = dyn_cast<DecompositionDecl>(variable)) {
    for (const auto* binding : decomposition->bindings()) {
      if (const auto* holding = binding->getHoldingVar()) {
        env_.values[{holding, nullptr}] = labels;
        for (auto& scope : order_) scope.inner.insert(holding);
      }
    }
  }
  LoopBody(stmt, nullptr, nullptr, stmt->getBody(), false);
  if (hazard) order_.pop_back();
}

void FunctionLowering::Try(const CXXTryStmt* stmt) {
  const size_t first_call = trace_.size();
  const uint32_t suspensions = suspensions_;
  const Environment before = env_;
  Execute(stmt->getTryBlock());
  std::vector<uint32_t> calls(trace_.begin() + static_cast<long>(first_call), trace_.end());
  std::sort(calls.begin(), calls.end());
  calls.erase(std::unique(calls.begin(), calls.end()), calls.end());
  OnCatch(stmt, calls, suspensions_ != suspensions);
  Environment joined = env_;
  Environment at_handler = before;
  at_handler.Join(env_);
  for (unsigned i = 0; i < stmt->getNumHandlers(); ++i) {
    env_ = before;
    env_.definite = at_handler.definite;
    env_.stale = at_handler.stale;
    env_.suspended = env_.suspended || suspensions_ != suspensions;
    const CXXCatchStmt* handler = stmt->getHandler(i);
    if (const auto* variable = handler->getExceptionDecl()) {
      env_.values[{variable, nullptr}] = LabelSet();
      if (UnitBuilder::RecordName(variable->getType()) == "std::bad_alloc") {
        const uint32_t hazard = AddHazard(handler, handler->getCatchLoc(), "determinism-allocation-probe",
                                          "catch of std::bad_alloc", HazardMode::kEffect);
        (void)hazard;
      }
    }
    branches_.push_back({handler->getSourceRange()});
    Execute(handler->getHandlerBlock());
    branches_.pop_back();
    joined.Join(env_);
  }
  env_ = std::move(joined);
}

void FunctionLowering::Return(const Expr* value, SourceLocation at) {
  (void)at;
  Significant();
  if (value != nullptr) {
    LabelSet labels = Value(value);
    bool constant = value->isInstantiationDependent();
    if (!constant) constant = labels.empty() && value->isEvaluatable(context_);
    if (const auto* literal = dyn_cast<CXXConstructExpr>(value->IgnoreImplicit()); literal != nullptr && labels.empty()) {
      constant = constant || std::all_of(literal->arg_begin(), literal->arg_end(), [&](const Expr* arg) {
                   return isa<CXXDefaultArgExpr>(arg) || arg->isEvaluatable(context_);
                 });
    }
    if (!constant && !isa<CXXBoolLiteralExpr>(value->IgnoreImplicit()) && !value->getType()->isVoidType()) {
      for (auto& scope : order_) {
        // Leaving with an element picks whichever came first; any-of answers with a constant.
        labels.Add(MakeLabel(LabelKind::kHazard, scope.hazard));
      }
    }
    AddFlow(Port::kReturn, 0, labels);
    const QualType returned = declaration_ != nullptr ? declaration_->getReturnType() : QualType();
    if (!returned.isNull() && (returned->isReferenceType() || returned->isPointerType())) {
      const Expr* plain = value->IgnoreParenImpCasts();
      const Place place = PlaceOf(plain);
      const bool direct = place.kind == Place::kGlobal && !returned->getPointeeType().isConstQualified();
      if (direct) out_.flags |= kReturnsStatic;
    }
  }
  env_.dead = true;
}

void FunctionLowering::Discarded(const Expr* expr) {
  const Expr* plain = expr->IgnoreParens();
  if (const auto* cleanups = dyn_cast<ExprWithCleanups>(plain)) plain = cleanups->getSubExpr()->IgnoreParens();
  bool cast_away = false;
  while (const auto* cast = dyn_cast<CastExpr>(plain)) {
    if (cast->getCastKind() == CK_ToVoid) cast_away = true;
    plain = cast->getSubExpr()->IgnoreParens();
  }
  (void)cast_away;
  if (const auto* bound = dyn_cast<CXXBindTemporaryExpr>(plain)) plain = bound->getSubExpr()->IgnoreParens();
  if (isa<CoawaitExpr>(plain) || isa<BinaryOperator>(plain) || isa<DeclRefExpr>(plain)) return;
  if (!plain->isPRValue() || !isa<CallExpr>(plain) || isa<CXXOperatorCallExpr>(plain)) return;
  if (!IsTask(plain->getType())) return;
  const auto* call = cast<CallExpr>(plain);
  if (const auto* callee = call->getDirectCallee(); callee != nullptr && callee->getNameAsString() == "detached") return;
  const uint32_t hazard = AddHazard(expr, plain->getExprLoc(), "determinism-dropped-task",
                                    call->getDirectCallee() != nullptr ? UnitBuilder::Name(call->getDirectCallee()) : "task",
                                    HazardMode::kEffect);
  if (is_coroutine_ && !cast_away) {
    AddEdit(hazard, CharSourceRange::getCharRange(plain->getBeginLoc(), plain->getBeginLoc()), "co_await ");
  }
}

}  // namespace lockstep::analyzer
