// The rules as a clang-tidy module: `clang-tidy-19 --load build/lib/lockstep_tidy_module.so --checks='-*,determinism-*'`.
//
// Editors see one file at a time, so this is the whole-program analysis over a program of one unit: marked functions and classes
// of the file are roots, calls that leave the file are not judged (that is lockstep-tidy's work). The unit is lowered and linked
// once, by whichever check comes first; every check then reports the findings of its own rule.
#include <clang-tidy/ClangTidy.h>
#include <clang-tidy/ClangTidyCheck.h>
#include <clang-tidy/ClangTidyModule.h>
#include <clang-tidy/ClangTidyModuleRegistry.h>
#include <clang/ASTMatchers/ASTMatchFinder.h>

#include "analyzer/callgraph/program.h"
#include "analyzer/callgraph/unit_builder.h"
#include "analyzer/registry/registry.h"

namespace lockstep::analyzer {
namespace {

using clang::SourceLocation;
using clang::SourceManager;
using clang::ast_matchers::MatchFinder;

// What all checks of one translation unit share.
struct SharedUnit {
  const clang::Preprocessor* preprocessor = nullptr;
  clang::Preprocessor* owner = nullptr;
  PreprocessorFacts facts;
  bool analysed = false;
  LinkResult result;
};

// clang-tidy runs its files one after the other in one thread.
SharedUnit& Shared() {
  static SharedUnit unit;
  return unit;
}

// Rules that need the other files of the program.
bool NeedsWholeProgram(const Finding& finding) {
  return finding.rule->id == "determinism-opaque-callee" || finding.rule->id == "determinism-ungated-command-change" ||
         (finding.rule->id == "determinism-indirect-call" && finding.severity != Severity::kError);
}

class DeterminismCheck : public clang::tidy::ClangTidyCheck {
 public:
  using ClangTidyCheck::ClangTidyCheck;

  bool isLanguageVersionSupported(const clang::LangOptions& options) const override { return options.CPlusPlus; }

  void registerPPCallbacks(const SourceManager&, clang::Preprocessor* preprocessor, clang::Preprocessor*) override {
    SharedUnit& shared = Shared();
    if (shared.preprocessor == preprocessor) return;
    shared.preprocessor = preprocessor;
    shared.owner = preprocessor;
    shared.facts = {};
    shared.analysed = false;
    preprocessor->addPPCallbacks(CollectFacts(*preprocessor, &shared.facts));
  }

  void registerMatchers(MatchFinder* finder) override {
    finder->addMatcher(clang::ast_matchers::translationUnitDecl().bind("unit"), this);
  }

  void check(const MatchFinder::MatchResult& match) override {
    SharedUnit& shared = Shared();
    if (shared.owner == nullptr || match.Context->getDiagnostics().hasErrorOccurred()) return;
    if (!shared.analysed) {
      std::vector<Unit> units(1);
      UnitBuilder builder(*match.Context, *shared.owner, ModelSet::BuiltIn(), std::move(shared.facts), {}, &units.front());
      builder.Run({});
      shared.result = Link(units, {});
      shared.analysed = true;
    }
    const Finding* last = nullptr;
    for (const auto& finding : shared.result.findings) {
      if (finding.rule->id != id_ || NeedsWholeProgram(finding)) continue;
      if (last != nullptr && last->at == finding.at) continue;  // Once a site, whatever the number of roots.
      last = &finding;
      Emit(finding, *match.SourceManager);
    }
  }

  void onStartOfTranslationUnit() override { Shared().analysed = false; }
  // The next file's preprocessor may get the address of this one's.
  void onEndOfTranslationUnit() override { Shared().preprocessor = nullptr; }

  void SetRule(std::string id) { id_ = std::move(id); }

 private:
  SourceLocation Locate(const Location& at, const SourceManager& sources) const {
    const auto file = sources.getFileManager().getOptionalFileRef(at.file);
    return file ? sources.translateFileLineCol(*file, at.line, at.column) : SourceLocation();
  }
  void Emit(const Finding& finding, const SourceManager& sources) {
    const SourceLocation at = Locate(finding.at, sources);
    if (at.isInvalid()) return;
    {
      auto builder = diag(at, finding.Message());
      for (const auto& edit : finding.edits) {
        const auto file = sources.getFileManager().getOptionalFileRef(edit.file);
        const clang::FileID id = file ? sources.translateFile(*file) : clang::FileID();
        if (id.isInvalid()) continue;
        const SourceLocation begin = sources.getLocForStartOfFile(id).getLocWithOffset(static_cast<int>(edit.offset));
        const auto range = clang::CharSourceRange::getCharRange(begin, begin.getLocWithOffset(static_cast<int>(edit.length)));
        builder << clang::FixItHint::CreateReplacement(range, edit.text);
      }
    }
    for (size_t i = 0; i + 1 < finding.chain.size(); ++i) {
      const SourceLocation step = Locate(finding.chain[i].at, sources);
      if (step.isValid()) diag(step, finding.chain[i].function + " calls " + finding.chain[i + 1].function + " here", clang::DiagnosticIDs::Note);
    }
  }
  std::string id_;
};

class DeterminismModule : public clang::tidy::ClangTidyModule {
 public:
  void addCheckFactories(clang::tidy::ClangTidyCheckFactories& factories) override {
    for (const auto& rule : Registry::Get().rules()) {
      factories.registerCheckFactory(rule.id, [id = rule.id](llvm::StringRef name, clang::tidy::ClangTidyContext* context) {
        auto check = std::make_unique<DeterminismCheck>(name, context);
        check->SetRule(id);
        return check;
      });
    }
  }
};

const clang::tidy::ClangTidyModuleRegistry::Add<DeterminismModule> kRegistration("determinism-module",
                                                                                 "Replay determinism of workflow code.");

}  // namespace
}  // namespace lockstep::analyzer
