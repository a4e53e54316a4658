// Lowers one function body (or one initialiser) into its summary by walking it once in execution order, loops twice, with an
// environment that maps variables to the labels of what they may hold. Branches join, plain assignments replace, writes through
// containers and references add.
//
// Three kinds of facts come out: calls, local hazards, and value flow between labels and ports (return, out-parameters, fields,
// globals, call arguments). Nothing here knows about other functions; `program.h` puts the pieces together.
//
// Order: inside a loop over a container without defined order the loop variables are clean, but what the body does with
// anything outside the loop is marked with the loop's hazard unless the operation commutes (sums of integers, insertion into
// an ordered container, any-of). Sorting removes the mark.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "analyzer/callgraph/unit_builder.h"

namespace lockstep::analyzer {

class FunctionLowering {
 public:
  FunctionLowering(UnitBuilder& unit, const clang::FunctionDecl* function);
  FunctionLowering(UnitBuilder& unit, const clang::VarDecl* initialized);
  void Run();

 private:
  using Slot = std::pair<const clang::VarDecl*, const clang::FieldDecl*>;
  enum class Definite : uint8_t { kNull, kZero, kEmpty };
  struct Environment {
    std::map<Slot, LabelSet> values;
    std::set<Slot> uninitialized;
    std::map<const clang::VarDecl*, Definite> definite;  // what a local certainly is: joined by intersection
    std::set<const clang::VarDecl*> stale;               // borrowed before a suspension
    bool suspended = false;  // a suspension may lie behind us
    bool dead = false;
    void Join(const Environment& other);
  };
  struct Place {
    enum Kind { kNone, kLocal, kParam, kField, kGlobal } kind = kNone;
    const clang::VarDecl* variable = nullptr;
    const clang::FieldDecl* field = nullptr;
    uint32_t index = 0;   // parameter, or key of the global
    bool exact = true;    // names the whole object, not an element of it
    bool captured = false;
    bool this_object = false;
  };
  struct OrderScope {
    uint32_t hazard;
    const clang::Stmt* loop;
    const clang::VarDecl* container;
    const clang::Stmt* condition = nullptr;
    std::set<const clang::VarDecl*> inner;
  };
  struct BranchScope {
    clang::SourceRange range;
    bool significant = false;
  };

  struct CallSite {
    const clang::Expr* expr = nullptr;
    const clang::FunctionDecl* callee = nullptr;
    const clang::Expr* object = nullptr;
    std::vector<const clang::Expr*> args;
    LabelSet object_labels;
    std::vector<LabelSet> arg_labels;
    std::vector<std::string> names;
    bool is_virtual = false;
    uint32_t index = 0;  // into calls
  };

  // Statements (lower_stmt.cpp).
  void Execute(const clang::Stmt* stmt);
  void Declare(const clang::VarDecl* variable);
  void If(const clang::IfStmt* stmt);
  void Switch(const clang::SwitchStmt* stmt);
  void LoopBody(const clang::Stmt* loop, const clang::Expr* condition, const clang::Expr* increment, const clang::Stmt* body,
                bool unbounded);
  void For(const clang::ForStmt* stmt);
  void RangeFor(const clang::CXXForRangeStmt* stmt);
  LabelSet Iterate(const clang::CXXForRangeStmt* stmt, const LabelSet& range);
  void Try(const clang::CXXTryStmt* stmt);
  void Return(const clang::Expr* value, clang::SourceLocation at);
  void Discarded(const clang::Expr* expr);
  void Condition(const clang::Expr* condition, const LabelSet& labels, bool significant);
  void DestroyLocals(const clang::VarDecl* variable);
  // Whether a loop works something off: a container that it empties, a counter that it moves.
  bool Progresses(const clang::Expr* condition, const clang::Stmt* body, const clang::Expr* increment = nullptr) const;
  void Suspended();
  // What a local certainly is (lower_definite.cpp).
  void DeclareDefinite(const clang::VarDecl* variable);
  void ForgetChecked(const clang::Stmt* condition);
  void ForgetChanged(const clang::Stmt* loop);
  void ForgetLocal(const clang::VarDecl* variable);
  bool IsDefinite(const clang::Expr* expr, Definite what) const;
  bool OnlyReads(const clang::VarDecl* variable) const;
  void OnDefiniteCall(const CallSite& site);
  bool SetTogether(clang::SourceLocation use) const;
  void Significant(const clang::VarDecl* local = nullptr);

  // Expressions (lower_expr.cpp).
  LabelSet Value(const clang::Expr* expr);
  LabelSet ValueOfReference(const clang::DeclRefExpr* ref, bool load = false);
  LabelSet ValueOfMember(const clang::MemberExpr* member, bool load = false);
  LabelSet ValueOfBinary(const clang::BinaryOperator* op);
  LabelSet ValueOfUnary(const clang::UnaryOperator* op, bool load = false);
  LabelSet ValueOfCast(const clang::CastExpr* cast, bool load = false);
  LabelSet ValueOfLambda(const clang::LambdaExpr* lambda);
  void OnEnumCast(const clang::CastExpr* cast);
  LabelSet ValueOfChildren(const clang::Expr* expr);
  Place PlaceOf(const clang::Expr* expr);
  LabelSet Read(const Place& place);
  enum class WriteKind { kAssign, kCommutative, kConstant, kInsert, kAppend, kCallee };
  void Write(const Place& place, LabelSet labels, WriteKind kind, const clang::Expr* at);
  void Assign(const clang::Expr* target, const clang::Expr* source, LabelSet labels, const clang::Expr* whole);
  LabelSet WithoutOrder(const LabelSet& labels);
  bool OutsideOrderScope(const OrderScope& scope, const Place& place) const;

  // Calls (lower_call.cpp).
  LabelSet ValueOfCall(const clang::CallExpr* call);
  LabelSet ValueOfConstruct(const clang::CXXConstructExpr* construct);
  LabelSet ValueOfNew(const clang::CXXNewExpr* expr);
  LabelSet ValueOfDelete(const clang::CXXDeleteExpr* expr);
  LabelSet Finish(CallSite& site);
  LabelSet Indirect(const clang::CallExpr* call, const LabelSet& target, clang::QualType function_type,
                    std::vector<const clang::Expr*> args);
  Call& Record(const clang::Expr* expr, bool* fresh);
  void CallDestructor(clang::QualType type, clang::SourceLocation at, const clang::Stmt* memo);
  const Model* Choose(const std::vector<Model>& models, const CallSite& site) const;
  LabelSet Library(CallSite& site, Call& call);
  void RunsOf(const CallSite& site, const UnitBuilder::LibraryCalls& library);
  LabelSet Plain(CallSite& site, Call& call);
  LabelSet HazardCall(CallSite& site, Call& call, const Model& model);
  void CommandCall(CallSite& site, Call& call, const Model* model);
  void EvaluateArguments(CallSite& site);
  void WriteOut(const clang::Expr* arg, const LabelSet& labels, const clang::Expr* at);

  // Local rules (lower_patterns.cpp).
  void OnVariable(const clang::VarDecl* variable);
  void OnGlobal(const clang::VarDecl* variable, const clang::Expr* at);
  void OnComparison(const clang::BinaryOperator* op, LabelSet* labels);
  void OnCall(CallSite& site, Call& call);
  bool OnSort(CallSite& site);
  void OnComparatorType(clang::QualType type, clang::SourceLocation at);
  void OnComparator(const clang::FunctionDecl* comparator, bool unstable, clang::SourceLocation sort, LabelSet* into);
  bool OnUnordered(CallSite& site, LabelSet* result);
  void OnWholeContainer(CallSite& site);
  void OnStringBuild(CallSite& site, LabelSet* result);
  void OnPointerFormat(CallSite& site, LabelSet* result);
  void OnPadding(CallSite& site);
  void OnSideEffect(CallSite& site);
  void OnVersionGate(CallSite& site);
  void OnStoredTypes(CallSite& site);
  void OnAwait(const clang::CoawaitExpr* await);
  void OnUseAfterSuspension(const clang::DeclRefExpr* ref, const clang::VarDecl* variable);
  void OnCatch(const clang::CXXTryStmt* stmt, std::vector<uint32_t> calls, bool suspends);
  void OnConstructor(const clang::CXXConstructorDecl* constructor);
  void OnFunction();
  void OnPragmasAndWarnings();
  bool InAssert(clang::SourceLocation at) const;
  void OnSideEffectIn(clang::SourceLocation at);

  Site SiteOf(clang::SourceLocation at);
  uint32_t AddHazard(const clang::Stmt* memo, clang::SourceLocation at, std::string_view rule, std::string_view what,
                     HazardMode mode, bool order = false);
  uint32_t AddHazardAt(const Site& site, std::string_view rule, std::string_view what, HazardMode mode);
  LabelSet HazardLabel(uint32_t hazard) { return LabelSet(MakeLabel(LabelKind::kHazard, hazard)); }
  void AddFlow(Port port, uint32_t index, const LabelSet& labels);
  void AddEffect(EffectKind kind, llvm::StringRef what, clang::SourceLocation at);
  Label OutLabel(uint32_t call, uint32_t argument);
  bool IsShared(const clang::VarDecl* variable) const { return shared_.count(variable) != 0; }
  uint32_t FieldId(const clang::FieldDecl* field) { return unit_.Field(field); }
  uint32_t GlobalId(const clang::VarDecl* variable) {
    unit_.NoteAliases(variable->getType());
    return unit_.Holder(unit_.Key(variable), variable->getType());
  }
  // Storage that a function shares with its lambdas.
  uint32_t CellId(const clang::VarDecl* variable) { return unit_.Holder("cell:" + unit_.Key(variable), variable->getType()); }
  int ParamIndex(const clang::VarDecl* variable) const;
  bool IsTask(clang::QualType type) const;
  void TouchOrder(const LabelSet& labels);
  void AddEdit(uint32_t hazard, clang::CharSourceRange range, llvm::StringRef text);
  void AddEdit(uint32_t hazard, clang::SourceRange range, llvm::StringRef text) {
    AddEdit(hazard, clang::CharSourceRange::getTokenRange(range), text);
  }
  // Fixes of whole calls, where the replacement means the same to everyone around it.
  void FixCall(uint32_t hazard, const CallSite& site);
  bool SeesWorkflowApi() const;
  const clang::DeclContext* ApiNamespace() const;
  const clang::FunctionDecl* ApiFunction(llvm::StringRef name) const;
  const clang::CXXRecordDecl* ApiClass(llvm::StringRef name) const;
  void FixStatement(uint32_t hazard, const CallSite& site);
  void FixLibraryCall(uint32_t hazard, const CallSite& site, const clang::CallExpr* call);
  // The full name of an API function.
  std::string Api(llvm::StringRef name) const { return ("lockstep::workflow::" + name).str(); }

  UnitBuilder& unit_;
  clang::ASTContext& context_;
  const clang::FunctionDecl* declaration_ = nullptr;
  const clang::VarDecl* initialized_ = nullptr;
  bool is_lambda_ = false;
  bool is_coroutine_ = false;
  Function out_;
  Environment env_;
  std::vector<uint32_t> trace_;  // calls in the order they are met
  uint32_t suspensions_ = 0;
  std::map<std::pair<const void*, uint32_t>, uint32_t> call_memo_;
  std::map<std::pair<const void*, std::string>, uint32_t> hazard_memo_;
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> out_memo_;
  std::map<std::pair<int, uint32_t>, uint32_t> flow_memo_;
  std::map<LabelSet*, uint32_t> derived_memo_;
  std::set<std::tuple<int, uint32_t, uint32_t, uint32_t>> effect_memo_;
  std::map<const clang::VarDecl*, Place> aliases_;
  std::map<const clang::VarDecl*, const clang::Expr*> callables_;
  std::set<const clang::VarDecl*> shared_;
  std::set<const clang::VarDecl*> borrowed_;       // views, references and iterators into something else
  std::vector<const clang::VarDecl*> task_variables_;
  std::set<const clang::VarDecl*> used_variables_;
  std::set<const clang::FieldDecl*> written_fields_;
  std::vector<OrderScope> order_;
  std::vector<BranchScope> branches_;
  std::vector<const clang::Stmt*> loops_;
  std::vector<const clang::IfStmt*> ifs_;
  int depth_ = 0;
  const clang::Expr* statement_ = nullptr;  // the expression statement that is being walked
  std::vector<std::pair<const clang::VarDecl*, uint32_t>> locks_;  // guards, with their hazard
  bool member_init_ = false;                  // the expression below initialises a member
  bool loading_ = false;                  // the expression below is only read
  std::vector<const clang::Expr*> scans_;  // conditions of the loops around us
  clang::SourceLocation implicit_at_;      // the member that a constructor initialises without saying so
};

// Whether the type is floating, directly or as a vector of it.
bool IsFloating(clang::QualType type);
bool IsUnorderedContainer(const UnitBuilder& unit, clang::QualType type);
bool IsOrderedContainer(const UnitBuilder& unit, clang::QualType type);
// The lambda, functor or function behind an expression, when it can be seen.
const clang::FunctionDecl* CallableBehind(const clang::Expr* expr);
const clang::LambdaExpr* LambdaBehind(const clang::Expr* expr);
bool IsString(clang::QualType type);
// Members of library classes that only hand out a part of the object, const or not.
bool IsAccessor(const clang::FunctionDecl* callee);
// The text of a literal, or of a constant that holds one.
std::optional<std::string> ConstantText(const clang::Expr* expr);

}  // namespace lockstep::analyzer
