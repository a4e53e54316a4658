"""The page docs/diagnosis.md, from results."""

TOP = 3
NAMES = {"interpreter": "the interpreter", "workflow": "the example workflows", "holdout": "hold-out"}


def in_top(rank):
    return 1 <= rank <= TOP


def percent(part, whole):
    return f"{100 * part / whole:.0f} %" if whole else "-"


def totals(results):
    return {
        "defects": len(results),
        "caught": sum(1 for r in results if r["caught"]),
        "lineKnown": sum(1 for r in results if in_top(r["rankKnown"])),
        "firstKnown": sum(1 for r in results if r["rankKnown"] == 1),
        "lineAlone": sum(1 for r in results if in_top(r["rankAlone"])),
    }


def summary_row(name, results):
    sums = totals(results)
    count = sums["defects"]

    def share(key):
        return f"{sums[key]} ({percent(sums[key], count)})"

    return f"| {name} | {count} | {share('caught')} | {share('lineKnown')} | {share('firstKnown')} | {share('lineAlone')} |"


def table(results):
    lines = ["| Defect | Kind | Caught | Grade | Line | Cause | Gate |", "|---|---|---|---|---|---|---|"]
    for r in sorted(results, key=lambda r: (r["kind"], r["name"])):
        line = f"{r['rankKnown'] or '-'} / {r['rankAlone'] or '-'}"
        lines.append(f"| `{r['name']}`: {r['what']} | {r['kind']} | {'yes' if r['caught'] else 'NO'} | {r['grade']} | {line} | {r['causeKnown']} | {'yes' if r['gate'] else '-'} |")
    return lines


def by_kind(results):
    lines = ["| Kind | Defects | Caught | Line, change known | Line, alone |", "|---|---|---|---|---|"]
    for kind in sorted({r["kind"] for r in results}):
        of = [r for r in results if r["kind"] == kind]
        sums = totals(of)
        lines.append(f"| {kind} | {sums['defects']} | {sums['caught']} | {sums['lineKnown']} | {sums['lineAlone']} |")
    return lines


def render(results, peers):
    groups = {name: [r for r in results if r["group"] == name] for name in ("interpreter", "workflow", "holdout", "control")}
    measured = groups["interpreter"] + groups["workflow"]
    everything = measured + groups["holdout"]
    edits = [r["edits"] for r in everything]
    weighed = [r["weighed"] for r in everything]
    text = [
        "# How good the diagnosis is",
        "",
        "<!-- Written by `make bench-diagnosis`; do not edit. -->",
        "",
        f"{len(everything)} defects were seeded, one build each: into the interpreter, and into the workflows of examples/workflows. A recorded run was",
        "traced with each build. Measured is whether the replay catches the defect, and whether a line that the defect changed is among the",
        "first three causes.",
        "",
        f"- *Change known*: `--changed-since` names a revision that was in step. The wrong line is part of a commit with {min(edits)} to {max(edits)} further edits of",
        "  the same file that change nothing: renamed locals, moved functions, comments, log lines, reformatted statements, and rewritings that mean",
        f"  the same (bench/diagnosis/noise.py). Trace leaves out what it recognises as harmless; {min(weighed)} to {max(weighed)} places remained to be weighed.",
        "- *Alone*: from the history and the source as it is now, without knowing what changed.",
        "",
        f"With the harmless edits alone, all {len(groups['control'])} controls are in step.",
        "",
        "| Seeded into | Defects | Caught | Line among the first three, change known | Line is the first cause, change known | Line among the first three, alone |",
        "|---|---|---|---|---|---|",
        *[summary_row(NAMES[name], groups[name]) for name in ("interpreter", "workflow", "holdout") if groups[name]],
        summary_row("all", everything),
        "",
        "The interpreter and the example workflows are what the ranking was improved on"
        + ("; the hold-out was written after it was finished and traced once." if groups["holdout"] else "; no held-out defects are measured here."),
        "The defects are single wrong edits; a change that is wrong in several files at once is not measured.",
        "",
        "## By kind",
        "",
        *by_kind(everything),
        "",
        "## Each defect",
        "",
        "*line*: the place of the first cause that names a changed line, change known / alone; - where none does. *cause*: the first one, with the",
        "change known. *gate*: a version gate was proposed as a patch.",
    ]
    for name in ("interpreter", "workflow", "holdout"):
        if groups[name]:
            text += ["", f"### In {NAMES[name]}" if name != "holdout" else "### Hold-out", "", *table(groups[name])]
    for peer in peers.values():
        caught = sum(1 for r in peer["results"] if r["caught"])
        text += [
            "",
            f"## {peer['title']}",
            "",
            *peer["about"],
            "",
            "| Defect | Kind | Replayer | What it says |",
            "|---|---|---|---|",
            *[f"| {r['what']} | {r['kind']} | {'caught' if r['caught'] else 'passes'} | {r['message'].replace('|', chr(92) + '|')} |" for r in peer["results"]],
            "",
            f"Caught: {caught} of {len(peer['results'])} ({percent(caught, len(peer['results']))}), with a line of the workflow: 0.",
        ]
    return "\n".join(text) + "\n"
