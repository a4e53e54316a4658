"""What else a commit holds besides the one wrong line: harmless edits of the same file, drawn for each defect by its name.

Comments, log lines, renamed locals, moved functions, reformatted statements, and rewritings that mean the same (REWRITINGS). Text comes in
as lines of (text, right): `right` marks the lines of the defect, and stays with them wherever the edits move them. What the edits do
to behaviour is checked by the controls of run_diagnosis.py: with them alone every record must still be in step.
"""

import hashlib
import random
import re

# Pairs of text that mean the same; each is applied where it stands exactly once and touches no line of the defect.
REWRITINGS = (
    ("  if (!input_.cursor) return;\n", "  if (!input_.cursor.has_value()) return;\n"),
    ("    observed_.pop_front();\n    ApplyOutcome(observed);\n", "    observed_.erase(observed_.begin());\n    ApplyOutcome(observed);\n"),
    ("  ++passes_;\n", "  passes_ += 1;\n"),
    ("  if (!failure_) failure_ = std::move(error);\n", "  if (failure_) return;\n  failure_ = std::move(error);\n"),
    ("  if (rotating_) return true;\n  if (board_->all_settled()) return false;\n", "  if (rotating_) {\n    return true;\n  }\n  if (board_->all_settled()) { return false; }\n"),
    ("  Json secrets = Json::MakeArray();\n", "  Json secrets = Json(Json::Array{});\n"),
    ("  wf::ActivityOutcome outcome;\n  outcome.attempt = 1;\n", "  wf::ActivityOutcome outcome{};\n  const int only = 1;\n  outcome.attempt = only;\n"),
    ("  const bool by_signal = !cancel_signal_id_.empty();\n", "  const bool by_signal = cancel_signal_id_.size() != 0;\n"),
    ("  const auto slots = static_cast<size_t>(table_.facts.max_parallelism);\n", "  const size_t slots = static_cast<size_t>(table_.facts.max_parallelism);\n"),
    ("  if (board_->all_settled()) return true;\n  if (rotating_) {\n", "  const bool everything = board_->all_settled();\n  if (everything) return true;\n  if (rotating_) {\n"),
    ("  if (opened) co_return;\n", "  if (opened == true) co_return;\n"),
    ("  retry.max_attempts = step.retry.max_attempts;\n", "  const auto attempts = step.retry.max_attempts;\n  retry.max_attempts = attempts;\n"),
    ("  options.heartbeat_ms = step.timeouts.heartbeat_ms.value_or(0);\n", "  if (step.timeouts.heartbeat_ms) options.heartbeat_ms = *step.timeouts.heartbeat_ms;\n"),
    ("  const std::string name = body.GetString(\"name\");\n", "  const std::string name(body.GetString(\"name\"));\n"),
    ("  pause_reason_.clear();\n", "  pause_reason_ = std::string();\n"),
    ("  ++pause_ordinal_;\n", "  pause_ordinal_ += 1;\n"),
    ("  params_changed_ = true;\n}\n\nvoid PlanRun::ApplyInjectOverride", "  params_changed_ |= true;\n}\n\nvoid PlanRun::ApplyInjectOverride"),
    ("  event.step_id = draft.step_id;\n  event.payload = draft.payload;\n", "  event.payload = draft.payload;\n  event.step_id = draft.step_id;\n"),
    ("  return ++issued_;\n", "  ++issued_;\n  return issued_;\n"),
    ("      ++count;\n    }\n", "      count += 1;\n    }\n"),
    ("  ++settled_;\n", "  settled_ += 1;\n"),
    ("  if (it == by_id_.end()) return std::nullopt;\n  return it->second;\n", "  if (it != by_id_.end()) return it->second;\n  return std::nullopt;\n"),
    ("    if (!payment) co_return payment.failed();\n", "    if (!payment) {\n      co_return payment.failed();\n    }\n"),
    ("  void Confirm() { confirmed_ = true; }\n", "  void Confirm() {\n    const bool yes = true;\n    confirmed_ = yes;\n  }\n"),
    ("    ++done_;\n", "    done_ += 1;\n"),
    ("    if (count < 1) return", "    if (count <= 0) return"),
    ("    if (!fetched) co_return fetched.failed();\n", "    if (!static_cast<bool>(fetched)) co_return fetched.failed();\n"),
    ("    int64_t lowest = INT64_MAX;\n", "    auto lowest = int64_t{INT64_MAX};\n"),
    ("      lowest = *answers[i];\n", "      lowest = answers[i].operator*();\n"),
)

WORDS = (
    "see the design notes",
    "kept small on purpose",
    "this is the only caller",
    "the order matters to readers only",
    "cheap: nothing is copied",
    "checked at the gateway already",
    "as the specification has it",
    "nobody relies on it before the first step",
)


class Text:
    def __init__(self, lines):
        self.lines = list(lines)  # (text without newline, right)

    def functions(self):
        """(first, last) of definitions whose closing brace stands under their first word, 0-based, inclusive."""
        found = []
        for i, (line, _) in enumerate(self.lines):
            head = re.match(r"(  )?[A-Za-z_][^#]*\{$", line)
            if not head or "(" not in line or re.match(r"\s*(namespace|class|struct|enum|if|for|while|switch|constexpr|const auto|static const)\b", line) or "] = {" in line:
                continue
            indent = head.group(1) or ""
            if indent and not self._in_class(i):
                continue
            first = i
            while first > 0 and self.lines[first - 1][0].startswith(indent + "  ") and not self.lines[first - 1][0].rstrip().endswith((";", "}", "{", ":")):
                first -= 1
            last = next((j for j in range(i + 1, len(self.lines)) if self.lines[j][0] == indent + "}"), None)
            if last is not None:
                found.append((first, i, last))
        return found

    def _in_class(self, at):
        for line, _ in reversed(self.lines[:at]):
            if line.startswith("}"):
                return False
            if line.startswith(("class ", "struct ")):
                return True
        return False

    def statements(self, function):
        """Lines inside of it where a statement begins and another may be put before it."""
        _, head, last = function
        places = []
        for i in range(head + 1, last):
            before = self.lines[i - 1][0].split("//")[0].rstrip()
            line = self.lines[i][0].strip()
            if before.endswith((";", "{", "}")) and not before.endswith("({") and line and not line.startswith(("}", "//", "case ", "default", "else", ".", "{", ")", '"', "public", "private")):
                # Not inside of a braced list.
                depth = 0
                for j in range(head, i):
                    depth += self.lines[j][0].count("(") - self.lines[j][0].count(")")
                if depth == 0 and not any(re.search(r"=\s*\{[^}]*$", self.lines[j][0]) for j in range(max(head, i - 6), i)):
                    places.append(i)
        return places


def indent_of(line):
    return line[: len(line) - len(line.lstrip())]


def add_comment(text, function, draw):
    places = text.statements(function)
    if places:
        at = draw.choice(places)
        text.lines.insert(at, (f"{indent_of(text.lines[at][0])}// {draw.choice(WORDS).capitalize()}.", False))
    return bool(places)


def add_log(text, function, draw):
    places = text.statements(function)
    if not places or "::" not in text.lines[function[0]][0] and not text.lines[function[0]][0].startswith("  "):
        return False
    at = draw.choice(places)
    text.lines.insert(at, (f'{indent_of(text.lines[at][0])}wf::log("at {draw.choice(WORDS)}");', False))
    return True


LOCAL = re.compile(r"(?:const |^\s*)(?:auto|std::string|Json|int64_t|size_t|bool|[A-Z]\w*|plan::Step|wf::\w+)(?:<[^=;()]*>)?[&*]* ([a-z]\w*) (?:=|:) ")
FIXED = {"co_await", "co_return", "return", "else"}


def rename_local(text, function, draw):
    first, head, last = function
    body = "\n".join(line for line, _ in text.lines[first : last + 1])
    names = [name for name in dict.fromkeys(match.group(1) for line, _ in text.lines[head : last + 1] for match in LOCAL.finditer(line)) if name not in FIXED]
    draw.shuffle(names)
    for name in names:
        new = name + draw.choice(("_here", "_now", "_value"))
        # Also the name of a member or a field somewhere: leave it.
        if re.search(rf"\b{new}\b", body) or re.search(rf"(\.|->|::){name}\b", body):
            continue
        for i in range(first, last + 1):
            line, right = text.lines[i]
            parts = re.split(r'("(?:[^"\\]|\\.)*")', line)
            for k in range(0, len(parts), 2):
                parts[k] = re.sub(rf"(?<![\w.>]){name}\b(?!\()", new, parts[k])
            text.lines[i] = ("".join(parts), right)
        return True
    return False


def move_function(text, _, draw):
    """Two definitions that follow each other change places, with the comments before them."""
    functions = [f for f in text.functions() if "::" in text.lines[f[0]][0].split("(")[0] or text.lines[f[0]][0].startswith("  wf::")]
    pairs = []
    for left, right in zip(functions, functions[1:]):
        between = [line for line, _ in text.lines[left[2] + 1 : right[0]]]
        if all(not line or line.strip().startswith("//") for line in between) and not any(line.startswith("// ---") for line in between):
            pairs.append((left, right))
    if not pairs:
        return False
    left, right = draw.choice(pairs)
    start = left[0]
    while start > 0 and text.lines[start - 1][0].strip().startswith("//") and not text.lines[start - 1][0].startswith("// ---"):
        start -= 1
    a, b = text.lines[start : left[2] + 1], text.lines[left[2] + 1 : right[2] + 1]
    gap = [line for line in b if not line[0]][:1]
    while b and not b[0][0]:
        b.pop(0)
    text.lines[start : right[2] + 1] = b + gap + a
    return True


def reformat(text, function, draw):
    first, head, last = function
    ways = []
    for i in range(head + 1, last):
        line, right = text.lines[i]
        if right:
            continue
        whole = re.fullmatch(r"(\s*)if \((.*)\) ((?:co_)?return[^;]*;|[a-z_]\w* = [^;]*;)", line)
        if whole and whole.group(2).count("(") == whole.group(2).count(")") and "else" not in text.lines[i + 1][0]:
            ways.append(("braces", i, whole))
        call = re.match(r"(\s*).*?\(", line)
        if call and line.rstrip().endswith(";") and line.count("(") == line.count(")") and ", " in line and len(line) > 50 and '"' not in line and "//" not in line:
            ways.append(("break", i, call))
    if not ways:
        return False
    how, i, match = draw.choice(ways)
    line = text.lines[i][0]
    if how == "braces":
        text.lines[i : i + 1] = [(f"{match.group(1)}if ({match.group(2)}) {{", False), (f"{match.group(1)}  {match.group(3)}", False), (f"{match.group(1)}}}", False)]
    else:
        cut = line.index(", ") + 1
        text.lines[i : i + 1] = [(line[:cut], False), (indent_of(line) + "        " + line[cut + 1 :], False)]
    return True


def rewrite(text, _, draw):
    order = list(REWRITINGS)
    draw.shuffle(order)
    whole = "\n".join(line for line, _ in text.lines) + "\n"
    for before, after in order:
        if whole.count(before) != 1:
            continue
        first = whole.count("\n", 0, whole.index(before))
        count = before.count("\n") + (0 if before.endswith("\n") else 1)
        if any(right for _, right in text.lines[first : first + count]):
            continue
        lines = "\n".join(line for line, _ in text.lines[first : first + count]) + "\n"
        text.lines[first : first + count] = [(line, False) for line in lines.replace(before, after).removesuffix("\n").split("\n")]
        return True
    return False


# What every commit holds: the edit, and whether it is made in the function of the defect.
HERE = ((add_comment, True), (add_log, True), (rename_local, True), (reformat, True))
ELSEWHERE = ((move_function, False), (add_comment, False), (add_comment, False), (add_log, False), (rename_local, False), (rename_local, False), (reformat, False), (move_function, False), (rewrite, False), (rewrite, False))


def with_noise(lines, name, log=True):
    """The lines with harmless edits, and how many. `log`: the file may write to the workflow's log."""
    draw = random.Random(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
    text = Text(lines)
    made = 0
    for edit, here in HERE + ELSEWHERE:
        if edit is add_log and not log:
            continue
        functions = text.functions()
        own = [f for f in functions if any(right for _, right in text.lines[f[0] : f[2] + 1])]
        others = [f for f in functions if f not in own]
        draw.shuffle(others)
        candidates = own if here else others
        made += any(edit(text, function, draw) for function in candidates[:8] or others[:8])
    return text.lines, made
