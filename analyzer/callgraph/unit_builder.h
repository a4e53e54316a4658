// Turns one parsed translation unit into a summary. The builder owns what all functions of the unit share: interned strings,
// stable keys, locations, the list of functions still to lower, and what the preprocessor and Clang's own warnings said.
// `function_lowering.h` does the work inside one function body.
//
// Only code of the program is entered. A function of a system header is entered when it has a body, has no model and is not
// part of the standard library; library templates are followed just far enough to find the functions of the program that
// they call back ("tunnels").
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "analyzer/callgraph/clang_pch.h"
#include "analyzer/callgraph/summary.h"
#include "analyzer/models/model_set.h"

namespace lockstep::analyzer {

// What the preprocessor saw, in terms of source locations.
struct PreprocessorFacts {
  struct Stamp {
    clang::SourceLocation at;
    std::string macro;
  };
  std::vector<Stamp> stamps;                       // __DATE__ and the like, at their expansion
  std::vector<clang::SourceRange> asserts;         // arguments of assert()
  std::vector<std::pair<clang::SourceLocation, std::string>> pragmas;  // rule-relevant pragmas
  struct Region {
    clang::SourceLocation begin;
    clang::SourceLocation end;
    std::string macro;
  };
  std::vector<Region> regions;  // `#if` on build or platform macros, the branch that was compiled
};

// Callbacks that fill `facts` while the preprocessor runs; `facts` must outlive it.
std::unique_ptr<clang::PPCallbacks> CollectFacts(clang::Preprocessor& preprocessor, PreprocessorFacts* facts);

// A warning of the compiler that proves a hazard.
struct CompilerWarning {
  clang::SourceLocation at;
  std::string rule;
  std::string text;
  std::vector<clang::FixItHint> fixes;
  bool conditional = false;  // on some paths only: conditions may exclude them
};

class UnitBuilder {
 public:
  UnitBuilder(clang::ASTContext& context, clang::Preprocessor& preprocessor, const ModelSet& models, PreprocessorFacts facts,
              std::vector<CompilerWarning> warnings, Unit* unit);

  struct RunOptions {
    // What comes out of a precompiled header is the system's, and is not looked at unless something uses it.
    bool system_loaded = false;
    std::optional<std::chrono::steady_clock::time_point> deadline;
  };
  // Lowers everything. Stops early, and says so in the unit, after `kMaxSteps` expressions or at the deadline.
  void Run(const RunOptions& options);

  clang::ASTContext& context() { return context_; }
  clang::Preprocessor& preprocessor() { return preprocessor_; }
  const ModelSet& models() const { return models_; }
  const PreprocessorFacts& facts() const { return facts_; }
  const std::vector<CompilerWarning>& warnings() const { return warnings_; }
  Unit& unit() { return *unit_; }

  uint32_t Str(llvm::StringRef text);
  const std::string& Text(uint32_t index) const { return unit_->strings[index]; }
  // Where a person looks for it: macros are reported at their expansion.
  Site SiteOf(clang::SourceLocation location);
  bool IsSystem(clang::SourceLocation location) const;
  bool IsSystem(const clang::Decl* decl) const;
  // Identity over units; file and offset for what has no linkage.
  const std::string& Key(const clang::Decl* decl);
  // Without template arguments, inline and unnamed namespaces, parameters.
  static std::string Name(const clang::NamedDecl* decl);
  static std::string RecordName(clang::QualType type);
  // The names a callee may be modelled under: its own, and as member of the static type of the object.
  static std::vector<std::string> Candidates(const clang::FunctionDecl* callee, clang::QualType object);
  // Whether the function is the program's own: C++ linkage, and not declared in a system header.
  bool IsOwn(const clang::FunctionDecl* function) const;
  // Type-erased holders of something callable.
  static bool IsCallableWrapper(clang::QualType type);
  std::string Signature(clang::QualType function_type);

  // Asks for the body of a function to be lowered; harmless when there is none or it was asked for before.
  void Enqueue(const clang::FunctionDecl* function);
  void EnqueueInitializer(const clang::VarDecl* variable);
  std::string InitializerKey(const clang::VarDecl* variable);
  // A function that ends the reachable standard library: not entered.
  bool IsStandardLibrary(const clang::Decl* decl) const;
  struct TunnelEnd {
    const clang::FunctionDecl* function;
    bool virtual_call;
  };
  // What a library function runs of the program: the functions that it calls, and whether it calls through pointers or wrappers such
  // as std::function that it was given. `complete` is false where not all of its code could be looked at.
  struct LibraryCalls {
    std::vector<TunnelEnd> ends;
    bool pointers = false;
    bool wrappers = false;
    bool complete = true;
  };
  const LibraryCalls& Tunnel(const clang::FunctionDecl* library_function);

  // Whether a location lies outside every function of the program.
  bool IsFileScope(clang::SourceLocation at) const;

  uint32_t MarksOf(const clang::FunctionDecl* function) const;
  // Whether the class is `base` (qualified name) or derives from it.
  static bool DerivesFrom(const clang::CXXRecordDecl* record, llvm::StringRef base);
  bool HasTypeTrait(clang::QualType type, Trait trait) const;

  // Whether a value of the type can carry something that can be called: functions flow only through such values.
  bool MayHoldCallable(clang::QualType type);
  // Strings, characters in a row, and library containers of them.
  bool IsText(clang::QualType type);
  // Whether the value itself is something to call: a function, a lambda, a functor, a std::function.
  bool IsCallable(clang::QualType type);
  // Interns the key of a field or variable and remembers whether it can hold a callable.
  uint32_t Holder(llvm::StringRef key, clang::QualType type);
  uint32_t Field(const clang::FieldDecl* field);
  // Notes that objects of the class are handed around by value.
  void Copied(const clang::CXXRecordDecl* record);
  // Notes that objects of the class have several names: pointers that are stored, shared ownership, `this` handed out. What is
  // written through one name may be read through another.
  void Aliased(const clang::CXXRecordDecl* record);
  void NoteAliases(clang::QualType type);

  bool Step() {
    if (++steps_ % 4096 == 0 && deadline_ && std::chrono::steady_clock::now() > *deadline_) late_ = true;
    return !exhausted();
  }
  bool exhausted() const { return late_ || steps_ > kMaxSteps; }
  Edit EditOf(clang::CharSourceRange range, llvm::StringRef text, bool* ok);
  llvm::StringRef SourceText(clang::SourceRange range) const;

 private:
  static constexpr uint64_t kMaxSteps = 6'000'000;
  void Declarations(const clang::DeclContext* scope);
  void OneDeclaration(clang::Decl* decl);
  void Record(const clang::CXXRecordDecl* record);
  void Marks(const clang::NamedDecl* decl, const clang::Decl* attributes_of);
  void FunctionFacts(const clang::FunctionDecl* function);
  void Preprocessed();
  void RegisteredClasses();

  clang::ASTContext& context_;
  clang::Preprocessor& preprocessor_;
  const ModelSet& models_;
  PreprocessorFacts facts_;
  std::vector<CompilerWarning> warnings_;
  Unit* unit_;
  std::unordered_map<std::string, uint32_t> interned_;
  std::unordered_map<const clang::Decl*, std::string> keys_;
  std::unordered_map<unsigned, uint32_t> file_names_;
  std::vector<const clang::Decl*> queue_;
  std::unordered_set<const clang::Decl*> queued_;
  std::unordered_set<const clang::Decl*> described_;
  std::unordered_map<const clang::FunctionDecl*, LibraryCalls> tunnels_;
  std::unordered_map<const clang::Decl*, bool> holding_records_;
  std::unordered_map<const clang::Decl*, bool> callable_records_;
  std::set<uint32_t> holders_;
  std::set<uint32_t> fields_;
  std::set<uint32_t> copied_;
  std::set<uint32_t> texts_;
  std::unordered_map<const clang::Decl*, bool> text_records_;
  std::set<uint32_t> aliased_;
  mutable std::unordered_map<unsigned, bool> system_files_;
  uint64_t steps_ = 0;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  bool late_ = false;
};

}  // namespace lockstep::analyzer
