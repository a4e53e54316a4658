// Walks the declarations of a unit, describes classes and marks, and lowers every function body that the program can run.
#include "analyzer/callgraph/unit_builder.h"

#include <clang/AST/RecursiveASTVisitor.h>

#include "analyzer/callgraph/function_lowering.h"

namespace lockstep::analyzer {

using namespace clang;

UnitBuilder::UnitBuilder(ASTContext& context, Preprocessor& preprocessor, const ModelSet& models, PreprocessorFacts facts,
                         std::vector<CompilerWarning> warnings, Unit* unit)
    : context_(context), preprocessor_(preprocessor), models_(models), facts_(std::move(facts)), warnings_(std::move(warnings)),
      unit_(unit) {
  if (unit_->strings.empty()) unit_->strings.emplace_back();
  for (uint32_t i = 0; i < unit_->strings.size(); ++i) interned_.emplace(unit_->strings[i], i);
}

uint32_t UnitBuilder::Str(llvm::StringRef text) {
  const auto [it, added] = interned_.emplace(text.str(), static_cast<uint32_t>(unit_->strings.size()));
  if (added) unit_->strings.push_back(it->first);
  return it->second;
}

Site UnitBuilder::SiteOf(SourceLocation location) {
  const SourceManager& sources = context_.getSourceManager();
  if (location.isInvalid()) return {};
  const SourceLocation at = sources.getExpansionLoc(location);
  const auto [file, offset] = sources.getDecomposedLoc(at);
  auto it = file_names_.find(file.getHashValue());
  if (it == file_names_.end()) {
    std::string name;
    if (const auto entry = sources.getFileEntryRefForID(file)) {
      llvm::SmallString<256> path(entry->getName());
      sources.getFileManager().makeAbsolutePath(path);
      llvm::sys::path::remove_dots(path, true);
      name = path.str().str();
    }
    it = file_names_.emplace(file.getHashValue(), Str(name)).first;
  }
  return {it->second, sources.getLineNumber(file, offset), sources.getColumnNumber(file, offset)};
}

bool UnitBuilder::IsSystem(SourceLocation location) const {
  const SourceManager& sources = context_.getSourceManager();
  if (location.isInvalid()) return true;
  const FileID file = sources.getFileID(sources.getExpansionLoc(location));
  const auto [it, added] = system_files_.emplace(file.getHashValue(), false);
  if (added) it->second = sources.isInSystemHeader(sources.getLocForStartOfFile(file));
  return it->second;
}

bool UnitBuilder::IsSystem(const Decl* decl) const {
  SourceLocation at = decl->getLocation();
  // An instantiation lives where its template was written.
  if (const auto* function = dyn_cast<FunctionDecl>(decl)) {
    if (const auto* pattern = function->getTemplateInstantiationPattern()) at = pattern->getLocation();
    if (at.isInvalid()) at = cast<Decl>(function->getDeclContext())->getLocation();
  }
  return IsSystem(at);
}

bool UnitBuilder::IsStandardLibrary(const Decl* decl) const {
  for (const DeclContext* scope = decl->getDeclContext(); scope != nullptr; scope = scope->getParent()) {
    const auto* space = dyn_cast<NamespaceDecl>(scope);
    if (space == nullptr || !isa<TranslationUnitDecl>(space->getDeclContext())) continue;
    return space->getName() == "std" || space->getName() == "__gnu_cxx" || space->getName() == "__cxxabiv1" ||
           space->getName() == "__pstl";
  }
  return false;
}

const std::string& UnitBuilder::Key(const Decl* decl) {
  decl = decl->getCanonicalDecl();
  if (auto it = keys_.find(decl); it != keys_.end()) return it->second;
  llvm::SmallString<256> usr;
  if (index::generateUSRForDecl(decl, usr)) usr = "?";
  const auto* named = dyn_cast<NamedDecl>(decl);
  bool local = named == nullptr || !named->isExternallyVisible();
  const DeclContext* enclosing = decl->getDeclContext();
  const FunctionDecl* outer = nullptr;
  for (const DeclContext* scope = enclosing; scope != nullptr; scope = scope->getParent()) {
    if (const auto* function = dyn_cast<FunctionDecl>(scope)) {
      outer = function;
      break;
    }
    if (const auto* record = dyn_cast<CXXRecordDecl>(scope); record != nullptr && record->isLambda()) local = true;
  }
  if (outer != nullptr) local = true;
  if (local) {
    const Site site = SiteOf(decl->getLocation());
    usr += "@" + unit_->strings[site.file] + ":" + std::to_string(site.line) + ":" + std::to_string(site.column);
    if (outer != nullptr) usr += "<" + Key(outer);
  }
  return keys_.emplace(decl, usr.str().str()).first->second;
}

std::string UnitBuilder::Name(const NamedDecl* decl) {
  std::vector<std::string> parts;
  if (const auto* conversion = dyn_cast<CXXConversionDecl>(decl)) {
    parts.push_back("operator " + conversion->getConversionType().getAsString());
  } else if (const auto* constructor = dyn_cast<CXXConstructorDecl>(decl)) {
    parts.push_back(constructor->getParent()->getName().str());
  } else if (const auto* destructor = dyn_cast<CXXDestructorDecl>(decl)) {
    parts.push_back("~" + destructor->getParent()->getName().str());
  } else {
    parts.push_back(decl->getDeclName().isIdentifier() ? decl->getName().str() : decl->getDeclName().getAsString());
  }
  for (const DeclContext* scope = decl->getDeclContext(); scope != nullptr; scope = scope->getParent()) {
    if (const auto* space = dyn_cast<NamespaceDecl>(scope)) {
      if (!space->isInline() && !space->isAnonymousNamespace()) parts.push_back(space->getName().str());
    } else if (const auto* record = dyn_cast<CXXRecordDecl>(scope)) {
      parts.push_back(record->isLambda() ? "lambda" : record->getName().str());
    }
  }
  if (parts.size() == 2 && parts[1] == "lambda") return "lambda";
  std::string name;
  for (auto it = parts.rbegin(); it != parts.rend(); ++it) name += (name.empty() ? "" : "::") + *it;
  return name;
}

std::string UnitBuilder::RecordName(QualType type) {
  if (type.isNull()) return {};
  type = type.getNonReferenceType();
  if (type->isPointerType()) type = type->getPointeeType();
  if (const auto* record = type->getAsCXXRecordDecl()) return Name(record);
  if (const auto* special = type->getAs<TemplateSpecializationType>()) {
    if (const auto* decl = special->getTemplateName().getAsTemplateDecl()) return Name(decl);
  }
  return {};
}

std::vector<std::string> UnitBuilder::Candidates(const FunctionDecl* callee, QualType object) {
  std::vector<std::string> names;
  const std::string own = Name(callee);
  const std::string type = RecordName(object);
  if (!type.empty() && callee->getDeclName().isIdentifier()) names.push_back(type + "::" + callee->getName().str());
  else if (!type.empty()) names.push_back(type + "::" + callee->getNameAsString());
  if (names.empty() || names.front() != own) names.push_back(own);
  return names;
}

bool UnitBuilder::IsCallableWrapper(QualType type) {
  static const std::set<std::string> kNames = {"std::function", "std::move_only_function", "std::reference_wrapper", "absl::AnyInvocable",
                                               "absl::FunctionRef", "boost::function", "llvm::function_ref", "folly::Function", "fu2::function"};
  return kNames.count(RecordName(type)) != 0;
}

bool UnitBuilder::IsOwn(const FunctionDecl* function) const {
  return !function->isExternC() && !IsSystem(function) && function->getBuiltinID() == 0;
}

std::string UnitBuilder::Signature(QualType type) {
  if (type->isFunctionPointerType() || type->isMemberFunctionPointerType() || type->isReferenceType()) {
    type = type->getPointeeType();
  }
  const auto* proto = type->getAs<FunctionProtoType>();
  if (proto == nullptr) return {};
  PrintingPolicy policy(context_.getLangOpts());
  policy.SuppressTagKeyword = true;
  std::string text = proto->getReturnType().getCanonicalType().getAsString(policy) + "(";
  for (QualType parameter : proto->param_types()) text += parameter.getCanonicalType().getAsString(policy) + ",";
  return text + ")";
}

bool UnitBuilder::DerivesFrom(const CXXRecordDecl* record, llvm::StringRef base) {
  if (record == nullptr || !record->hasDefinition()) return record != nullptr && Name(record) == base;
  if (Name(record) == base) return true;
  for (const auto& parent : record->getDefinition()->bases()) {
    if (DerivesFrom(parent.getType()->getAsCXXRecordDecl(), base)) return true;
  }
  return false;
}

bool UnitBuilder::HasTypeTrait(QualType type, Trait trait) const {
  if (type.isNull()) return false;
  type = type.getNonReferenceType();
  const auto* record = type->getAsCXXRecordDecl();
  if (record == nullptr) return false;
  if (models_.Has(trait, Name(record))) return true;
  if (!record->hasDefinition()) return false;
  for (const auto& parent : record->getDefinition()->bases()) {
    if (HasTypeTrait(parent.getType(), trait)) return true;
  }
  return false;
}

void UnitBuilder::Enqueue(const FunctionDecl* function) {
  const FunctionDecl* definition = function->getDefinition();
  if (definition == nullptr) {
    // Defaulted members get a body only when used; their members and bases are what matters.
    if (function->isDefaulted() && !function->isDeleted() && isa<CXXDestructorDecl>(function)) definition = function;
    else return;
  }
  if (definition->isDependentContext() || !queued_.insert(definition).second) return;
  if (definition->isDeleted()) return;
  queue_.push_back(definition);
}

std::string UnitBuilder::InitializerKey(const VarDecl* variable) { return "init:" + Key(variable); }

void UnitBuilder::EnqueueInitializer(const VarDecl* variable) {
  const VarDecl* initializing = nullptr;
  if (variable->getAnyInitializer(initializing) == nullptr || initializing == nullptr) return;
  if (!queued_.insert(initializing).second) return;
  queue_.push_back(initializing);
}

namespace {

uint32_t MarkOf(llvm::StringRef text) {
  return llvm::StringSwitch<uint32_t>(text)
      .Case("lockstep::workflow", kMarkWorkflow)
      .Case("lockstep::activity", kMarkActivity)
      .Case("lockstep::deterministic", kMarkDeterministic)
      .Case("lockstep::trusted", kMarkTrusted)
      .Case("lockstep::query", kMarkQuery)
      .Case("lockstep::signal", kMarkSignal)
      .Case("lockstep::update", kMarkUpdate)
      .Default(0);
}

}  // namespace

void UnitBuilder::Marks(const NamedDecl* decl, const Decl* attributes_of) {
  for (const auto* attribute : attributes_of->specific_attrs<AnnotateAttr>()) {
    uint32_t bits = MarkOf(attribute->getAnnotation());
    if (bits == 0) continue;
    if (isa<CXXRecordDecl>(attributes_of)) {
      if (bits == kMarkWorkflow) bits = kMarkWorkflowClass;
      if (bits == kMarkDeterministic) bits = kMarkDeterministicClass;
    }
    Mark mark{.key = Str(Key(decl)), .bits = bits, .name = Str(Name(decl)), .site = SiteOf(decl->getLocation())};
    if (bits == kMarkTrusted && attribute->args_size() > 0) {
      const Expr* reason = *attribute->args_begin();
      if (const auto* text = dyn_cast<clang::StringLiteral>(reason->IgnoreParenImpCasts())) mark.reason = Str(text->getString());
      else if (const auto* constant = dyn_cast<ConstantExpr>(reason)) {
        if (const auto* inner = dyn_cast<clang::StringLiteral>(constant->getSubExpr()->IgnoreParenImpCasts())) {
          mark.reason = Str(inner->getString());
        }
      }
    }
    unit_->marks.push_back(mark);
  }
}

uint32_t UnitBuilder::MarksOf(const FunctionDecl* function) const {
  uint32_t bits = 0;
  const auto collect = [&](const Decl* decl) {
    for (const auto* attribute : decl->specific_attrs<AnnotateAttr>()) bits |= MarkOf(attribute->getAnnotation());
  };
  for (const auto* declaration : function->redecls()) collect(declaration);
  if (const auto* pattern = function->getTemplateInstantiationPattern()) {
    for (const auto* declaration : pattern->redecls()) collect(declaration);
  }
  if (const auto* method = dyn_cast<CXXMethodDecl>(function)) collect(method->getParent());
  return bits;
}

void UnitBuilder::FunctionFacts(const FunctionDecl* function) {
  if (!described_.insert(function->getCanonicalDecl()).second) return;
  for (const auto* declaration : function->redecls()) Marks(function, declaration);
  if (const auto* pattern = function->getTemplateInstantiationPattern()) {
    for (const auto* declaration : pattern->redecls()) Marks(function, declaration);
  }
  const auto* method = dyn_cast<CXXMethodDecl>(function);
  if (method == nullptr) return;
  Marks(function, method->getParent());
  if (!method->isVirtual()) return;
  VirtualMethod entry{.key = Str(Key(method)), .owner = Str(Key(method->getParent())), .overrides = {}};
  for (const auto* overridden : method->overridden_methods()) entry.overrides.push_back(Str(Key(overridden)));
  unit_->methods.push_back(std::move(entry));
}

void UnitBuilder::Record(const CXXRecordDecl* record) {
  record = record->getDefinition();
  if (record == nullptr || record->isDependentContext() || !described_.insert(record->getCanonicalDecl()).second) return;
  ClassInfo info{.key = Str(Key(record)), .name = Str(Name(record)), .bases = {}};
  for (const auto& base : record->bases()) {
    if (const auto* parent = base.getType()->getAsCXXRecordDecl()) {
      info.bases.push_back(Str(Key(parent)));
      Record(parent);  // Bases in system headers are part of the hierarchy.
    }
  }
  const bool shared = std::any_of(record->bases_begin(), record->bases_end(), [](const auto& base) {
    return RecordName(base.getType()) == "std::enable_shared_from_this";
  });
  if (shared || record->isPolymorphic()) Aliased(record);
  unit_->classes.push_back(std::move(info));
  if (IsSystem(record)) return;
  Declarations(record);
}

void UnitBuilder::Declarations(const DeclContext* scope) {
  for (Decl* decl : scope->decls()) OneDeclaration(decl);
}

void UnitBuilder::OneDeclaration(Decl* decl) {
  if (isa<TranslationUnitDecl>(decl->getDeclContext()) && decl->getLocation().isValid() && IsSystem(decl->getLocation())) return;
  if (const auto* space = dyn_cast<NamespaceDecl>(decl)) {
    Declarations(space);
  } else if (const auto* linkage = dyn_cast<LinkageSpecDecl>(decl)) {
    Declarations(linkage);
  } else if (const auto* exported = dyn_cast<ExportDecl>(decl)) {
    Declarations(exported);
  } else if (const auto* record = dyn_cast<CXXRecordDecl>(decl)) {
    if (record->isThisDeclarationADefinition() && !record->isLambda()) Record(record);
  } else if (const auto* function = dyn_cast<FunctionDecl>(decl)) {
    if (function->isDependentContext()) return;
    FunctionFacts(function);
    if (function->doesThisDeclarationHaveABody()) Enqueue(function);
  } else if (const auto* template_decl = dyn_cast<FunctionTemplateDecl>(decl)) {
    if (!template_decl->isCanonicalDecl()) return;
    for (auto* special : template_decl->specializations()) {
      FunctionFacts(special);
      Enqueue(special);
    }
  } else if (const auto* class_template = dyn_cast<ClassTemplateDecl>(decl)) {
    if (!class_template->isCanonicalDecl()) return;
    for (auto* special : class_template->specializations()) Record(special);
  } else if (const auto* variable_template = dyn_cast<VarTemplateDecl>(decl)) {
    if (!variable_template->isCanonicalDecl()) return;
    for (auto* special : variable_template->specializations()) OneDeclaration(special);
  } else if (const auto* friend_decl = dyn_cast<FriendDecl>(decl)) {
    if (auto* inner = friend_decl->getFriendDecl()) OneDeclaration(inner);
  }
}

const UnitBuilder::LibraryCalls& UnitBuilder::Tunnel(const FunctionDecl* start) {
  start = start->getCanonicalDecl();
  if (auto it = tunnels_.find(start); it != tunnels_.end()) return it->second;
  // A plain walk over library bodies; the result is what the program itself provided.
  class Collector : public RecursiveASTVisitor<Collector> {
   public:
    Collector(std::vector<std::pair<const FunctionDecl*, bool>>* calls, LibraryCalls* result) : calls_(calls), result_(result) {}
    bool shouldVisitImplicitCode() const { return true; }
    bool VisitCallExpr(CallExpr* call) {
      const auto* callee = call->getDirectCallee();
      if (callee == nullptr) {
        result_->pointers = result_->pointers || !isa<CXXPseudoDestructorExpr>(call->getCallee()->IgnoreParens());
      } else {
        bool is_virtual = false;
        if (const auto* member = dyn_cast<MemberExpr>(call->getCallee()->IgnoreParens())) {
          const auto* method = dyn_cast<CXXMethodDecl>(callee);
          is_virtual = method != nullptr && method->isVirtual() && !member->hasQualifier();
        }
        calls_->emplace_back(callee, is_virtual);
      }
      return true;
    }
    bool VisitCXXConstructExpr(CXXConstructExpr* construct) {
      calls_->emplace_back(construct->getConstructor(), false);
      return true;
    }
    bool VisitCXXDeleteExpr(CXXDeleteExpr* expr) {
      const QualType type = expr->getDestroyedType();
      if (type.isNull()) return true;
      if (const auto* record = type->getAsCXXRecordDecl(); record != nullptr && record->hasDefinition()) {
        if (const auto* destructor = record->getDestructor()) calls_->emplace_back(destructor, destructor->isVirtual());
      }
      return true;
    }
    bool TraverseLambdaExpr(LambdaExpr* lambda) {
      calls_->emplace_back(lambda->getCallOperator(), false);
      return true;
    }

   private:
    std::vector<std::pair<const FunctionDecl*, bool>>* calls_;
    LibraryCalls* result_;
  };
  LibraryCalls result;
  std::set<std::string> seen_ends;
  std::unordered_set<const FunctionDecl*> seen{start};
  std::vector<const FunctionDecl*> work{start};
  constexpr size_t kMaxLibraryFunctions = 600;
  while (!work.empty() && seen.size() < kMaxLibraryFunctions) {
    const FunctionDecl* current = work.back();
    work.pop_back();
    std::vector<std::pair<const FunctionDecl*, bool>> calls;
    Collector collector(&calls, &result);
    if (const Stmt* body = current->getBody()) collector.TraverseStmt(const_cast<Stmt*>(body));
    if (const auto* constructor = dyn_cast<CXXConstructorDecl>(current)) {
      for (const auto* init : constructor->inits()) collector.TraverseStmt(init->getInit());
    }
    if (const auto* destructor = dyn_cast<CXXDestructorDecl>(current)) {
      const auto add = [&](QualType type) {
        const auto* record = context_.getBaseElementType(type)->getAsCXXRecordDecl();
        if (record != nullptr && record->hasDefinition() && !record->hasTrivialDestructor()) {
          if (const auto* member = record->getDestructor()) calls.emplace_back(member, false);
        }
      };
      for (const auto* field : destructor->getParent()->fields()) add(field->getType());
      for (const auto& base : destructor->getParent()->bases()) add(base.getType());
    }
    for (const auto& [callee, is_virtual] : calls) {
      const FunctionDecl* definition = callee->getDefinition() != nullptr ? callee->getDefinition() : callee;
      bool modelled = false;
      if (const auto* found = models_.Find({Name(definition)})) {
        modelled = !found->empty() && found->front().kind == ModelKind::kHazard && found->front().through_library;
      }
      if (!IsSystem(definition) || modelled) {
        if (seen_ends.insert(Key(definition)).second) result.ends.push_back({definition, is_virtual});
        continue;
      }
      const auto* method = dyn_cast<CXXMethodDecl>(definition);
      if (method != nullptr && method->getOverloadedOperator() == OO_Call && IsCallableWrapper(context_.getRecordType(method->getParent()))) {
        result.wrappers = true;
        continue;
      }
      if (seen.insert(definition).second && definition->hasBody()) work.push_back(definition);
    }
  }
  result.complete = work.empty();
  return tunnels_.emplace(start, std::move(result)).first->second;
}

llvm::StringRef UnitBuilder::SourceText(SourceRange range) const {
  return Lexer::getSourceText(CharSourceRange::getTokenRange(range), context_.getSourceManager(), context_.getLangOpts());
}

Edit UnitBuilder::EditOf(CharSourceRange range, llvm::StringRef text, bool* ok) {
  const SourceManager& sources = context_.getSourceManager();
  const CharSourceRange file_range = Lexer::makeFileCharRange(range, sources, context_.getLangOpts());
  *ok = file_range.isValid() && !IsSystem(file_range.getBegin());
  if (!*ok) return {};
  const auto [begin_file, begin] = sources.getDecomposedLoc(file_range.getBegin());
  const auto [end_file, end] = sources.getDecomposedLoc(file_range.getEnd());
  *ok = begin_file == end_file && end >= begin;
  return {SiteOf(file_range.getBegin()).file, begin, end - begin, Str(text)};
}

bool UnitBuilder::MayHoldCallable(QualType type) {
  if (type.isNull()) return false;
  type = context_.getBaseElementType(type.getNonReferenceType().getCanonicalType());
  while (type->isPointerType()) type = context_.getBaseElementType(type->getPointeeType());
  if (type->isFunctionType() || type->isMemberFunctionPointerType()) return true;
  const auto* record = type->getAsCXXRecordDecl();
  if (record == nullptr || !record->hasDefinition()) return false;
  record = record->getDefinition();
  if (record->isLambda()) return true;
  const auto [it, added] = holding_records_.emplace(record, false);
  if (!added) return it->second;
  bool holds = false;
  if (IsSystem(record)) {
    // Of a library type the arguments tell: std::function<R(A)>, std::vector<std::function<...>>, std::pair<..., F>.
    if (const auto* special = dyn_cast<ClassTemplateSpecializationDecl>(record)) {
      const auto check = [&](const auto& self, const TemplateArgument& argument) -> bool {
        if (argument.getKind() == TemplateArgument::Type) return MayHoldCallable(argument.getAsType());
        if (argument.getKind() == TemplateArgument::Pack) {
          for (const auto& element : argument.pack_elements()) {
            if (self(self, element)) return true;
          }
        }
        return false;
      };
      for (const auto& argument : special->getTemplateArgs().asArray()) holds = holds || check(check, argument);
    }
  } else {
    for (const auto* field : record->fields()) holds = holds || MayHoldCallable(field->getType());
    for (const auto& base : record->bases()) holds = holds || MayHoldCallable(base.getType());
    for (const auto* method : record->methods()) holds = holds || method->getOverloadedOperator() == OO_Call;
  }
  holding_records_[record] = holds;
  return holds;
}

bool UnitBuilder::IsText(QualType type) {
  if (type.isNull()) return false;
  type = type.getNonReferenceType().getCanonicalType();
  if (const auto* array = context_.getAsArrayType(type)) return IsText(array->getElementType()) || array->getElementType()->isAnyCharacterType();
  if (type->isPointerType()) return type->getPointeeType()->isAnyCharacterType() || IsText(type->getPointeeType());
  const auto* special = dyn_cast_or_null<ClassTemplateSpecializationDecl>(type->getAsCXXRecordDecl());
  if (special == nullptr) return false;
  const auto [it, added] = text_records_.emplace(special, false);
  if (!added) return it->second;
  const std::string name = Name(special);
  bool text = name == "std::basic_string" || name == "std::basic_string_view" || name == "std::basic_ostringstream" || name == "std::basic_stringstream";
  for (const auto& argument : special->getTemplateArgs().asArray()) {
    if (!text && argument.getKind() == TemplateArgument::Type) text = IsText(argument.getAsType());
  }
  text_records_[special] = text;
  return text;
}

bool UnitBuilder::IsCallable(QualType type) {
  if (type.isNull()) return false;
  type = type.getNonReferenceType();
  if (type->isFunctionType() || type->isFunctionPointerType() || type->isMemberFunctionPointerType()) return true;
  const auto* record = type->getAsCXXRecordDecl();
  if (record == nullptr || !record->hasDefinition()) return false;
  record = record->getDefinition();
  if (record->isLambda()) return true;
  const auto [it, added] = callable_records_.emplace(record, false);
  if (!added) return it->second;
  const DeclarationName call = context_.DeclarationNames.getCXXOperatorName(OO_Call);
  bool callable = !record->lookup(call).empty();
  for (const auto& base : record->bases()) callable = callable || IsCallable(base.getType());
  callable_records_[record] = callable;
  return callable;
}

uint32_t UnitBuilder::Holder(llvm::StringRef key, QualType type) {
  const uint32_t id = Str(key);
  if (MayHoldCallable(type) && holders_.insert(id).second) unit_->holders.push_back(id);
  if (IsText(type) && texts_.insert(id).second) unit_->texts.push_back(id);
  return id;
}

uint32_t UnitBuilder::Field(const FieldDecl* field) {
  const uint32_t id = Holder(Key(field), field->getType());
  if (fields_.insert(id).second) {
    unit_->fields.emplace_back(id, Str(Key(field->getParent())));
    NoteAliases(field->getType());
  }
  return id;
}

void UnitBuilder::Aliased(const CXXRecordDecl* record) {
  if (record == nullptr || IsSystem(record)) return;
  const uint32_t id = Str(Key(record));
  if (aliased_.insert(id).second) unit_->aliased.push_back(id);
}

void UnitBuilder::NoteAliases(QualType type) {
  if (type.isNull()) return;
  type = context_.getBaseElementType(type.getCanonicalType());
  if (type->isReferenceType() || type->isPointerType()) {
    const QualType pointee = context_.getBaseElementType(type->getPointeeType());
    if (pointee->isPointerType()) return NoteAliases(pointee);
    return Aliased(pointee->getAsCXXRecordDecl());
  }
  const auto* special = dyn_cast_or_null<ClassTemplateSpecializationDecl>(type->getAsCXXRecordDecl());
  if (special == nullptr || !IsSystem(special)) return;
  const std::string name = Name(special);
  const bool owner = name == "std::shared_ptr" || name == "std::weak_ptr" || name == "std::unique_ptr" || name == "std::reference_wrapper";
  const auto visit = [&](const auto& self, const TemplateArgument& argument) -> void {
    if (argument.getKind() == TemplateArgument::Pack) {
      for (const auto& element : argument.pack_elements()) self(self, element);
    } else if (argument.getKind() == TemplateArgument::Type) {
      if (owner) Aliased(argument.getAsType()->getAsCXXRecordDecl());
      NoteAliases(argument.getAsType());
    }
  };
  for (const auto& argument : special->getTemplateArgs().asArray()) visit(visit, argument);
}

void UnitBuilder::Copied(const CXXRecordDecl* record) {
  if (record == nullptr || record->isPolymorphic()) return;
  const uint32_t id = Str(Key(record));
  if (copied_.insert(id).second) unit_->copied.push_back(id);
}

bool UnitBuilder::IsFileScope(SourceLocation at) const {
  const SourceManager& sources = context_.getSourceManager();
  at = sources.getExpansionLoc(at);
  return std::none_of(queue_.begin(), queue_.end(), [&](const Decl* decl) {
    const SourceLocation begin = sources.getExpansionLoc(decl->getBeginLoc());
    const SourceLocation end = sources.getExpansionLoc(decl->getEndLoc());
    return begin.isValid() && end.isValid() && sources.getFileID(begin) == sources.getFileID(at) &&
           !sources.isBeforeInTranslationUnit(at, begin) && !sources.isBeforeInTranslationUnit(end, at);
  });
}

void UnitBuilder::Preprocessed() {
  for (const auto& region : facts_.regions) {
    unit_->regions.push_back({SiteOf(region.begin), SiteOf(region.end).line, Str(region.macro)});
  }
}

namespace {

// The template by which LOCKSTEP_REGISTER_WORKFLOW hands a class to the program that loads it.
const FunctionTemplateDecl* RegistrationTemplate(ASTContext& context) {
  const DeclContext* scope = context.getTranslationUnitDecl();
  for (const char* name : {"lockstep", "workflow", "internal"}) {
    const NamespaceDecl* next = nullptr;
    for (const NamedDecl* found : scope->lookup(&context.Idents.get(name))) {
      if (const auto* space = dyn_cast<NamespaceDecl>(found)) next = space;
    }
    if (next == nullptr) return nullptr;
    scope = next->getPrimaryContext();
  }
  for (const NamedDecl* found : scope->lookup(&context.Idents.get("RegisterClass"))) {
    if (const auto* function = dyn_cast<FunctionTemplateDecl>(found)) return function->getCanonicalDecl();
  }
  return nullptr;
}

}  // namespace

// A class that is registered as a workflow is one, marked or not.
void UnitBuilder::RegisteredClasses() {
  const FunctionTemplateDecl* registration = RegistrationTemplate(context_);
  if (registration == nullptr) return;
  for (const FunctionDecl* special : registration->specializations()) {
    const TemplateArgumentList* arguments = special->getTemplateSpecializationArgs();
    if (arguments == nullptr || arguments->size() == 0 || arguments->get(0).getKind() != TemplateArgument::Type) continue;
    const CXXRecordDecl* record = arguments->get(0).getAsType()->getAsCXXRecordDecl();
    if (record == nullptr || record->getDefinition() == nullptr) continue;
    for (const CXXMethodDecl* method : record->getDefinition()->methods()) {
      if (method->isImplicit()) continue;
      unit_->marks.push_back({.key = Str(Key(method)), .bits = kMarkWorkflowClass, .name = Str(Name(method)), .site = SiteOf(method->getLocation())});
    }
  }
}

void UnitBuilder::Run(const RunOptions& options) {
  deadline_ = options.deadline;
  Preprocessed();
  RegisteredClasses();
  const auto* unit = context_.getTranslationUnitDecl();
  // Lowering may load further declarations; the list is taken before.
  std::vector<Decl*> top;
  if (options.system_loaded) top.assign(unit->noload_decls_begin(), unit->noload_decls_end());
  else top.assign(unit->decls_begin(), unit->decls_end());
  for (Decl* decl : top) {
    if (!IsSystem(decl->getLocation())) OneDeclaration(decl);
  }
  for (size_t next = 0; next < queue_.size() && !exhausted(); ++next) {
    if (const auto* function = dyn_cast<FunctionDecl>(queue_[next])) {
      FunctionFacts(function);
      if (const auto* method = dyn_cast<CXXMethodDecl>(function); method != nullptr && !method->getParent()->isLambda()) {
        Record(method->getParent());
      }
      FunctionLowering(*this, function).Run();
    } else {
      FunctionLowering(*this, cast<VarDecl>(queue_[next])).Run();
    }
  }
  unit_->budget_exhausted = exhausted();
  unit_->late = late_;
}

}  // namespace lockstep::analyzer
