"""Edits of SQL inside Python strings, and of Lua: guards, locks, orders, bounds, assignments."""

import re
from collections.abc import Iterator
from itertools import pairwise

from tests.mutants.change import Edit

_COMMENT = re.compile(r"--[^\n]*")
_CONDITION = re.compile(r"\b(WHERE|AND|OR|WHEN|ON)\b(?!\s+(CONFLICT|REPLACE|FUNCTION|true|TRUE))\s*")
_ENDS = re.compile(
    r"\b(AND|OR|WHERE|ORDER|GROUP|LIMIT|FOR|RETURNING|UNION|SET|FROM|LEFT|JOIN|CROSS|THEN|ELSE|WHEN|HAVING)\b"
)
_OF_BETWEEN = re.compile(r"\bBETWEEN\b(?:(?!\b(?:AND|OR|WHERE|WHEN)\b).)*$", re.DOTALL)
_ASSIGNMENTS = re.compile(r"\bSET\b(?!\s+(LOCAL|search_path))")
_LOCK = r"FOR (?:(?:NO KEY )?UPDATE|(?:KEY )?SHARE)"
_ADVISORY = r"\bpg_(?:try_)?advisory_(?:xact_)?lock(?:_shared)?\(((?:[^()]|\([^()]*\))*)\)"
_FENCE = re.compile(r"\b(claim_seq|seq|token_version|claimed_at)\b")
_SIMPLE = (
    (_LOCK + r"(?: OF \w+)?(?: SKIP LOCKED)?", "", "lock dropped"),
    (r" SKIP LOCKED", "", "skip locked dropped"),
    (_ADVISORY, r"(ROW(\1) IS NOT NULL)", "lock dropped"),
    (rf"ORDER BY (?=[^()\"]*{_LOCK})[^()\"]*?(?=LIMIT|{_LOCK})", "", "lock order dropped"),
    (rf"ORDER BY (?![^()\"]*{_LOCK})[^()\"{{}}]*?(?=LIMIT|\)|\"|\n\s*ON)", "", "order dropped"),
    (r"GREATEST\(", "LEAST(", "function swapped"),
    (r"LEAST\(", "GREATEST(", "function swapped"),
    (r"\bmin\(", "max(", "function swapped"),
    (r"\bmax\(", "min(", "function swapped"),
    (r"COALESCE\(([^(),]*(?:\([^()]*\))?), [^()]*\)", r"\1", "coalesce dropped"),
    (r"coalesce\(([^(),]*(?:\([^()]*\))?), [^()]*\)", r"\1", "coalesce dropped"),
    (r"interval '\d+", "interval '7", "interval changed"),
    (r"([+-]) make_interval", " make_interval", "interval changed"),
    (r"\+ 1\b", "+ 0", "bound changed"),
    (r"- 1\b", "- 0", "bound changed"),
    (r"<=", "<", "comparison"),
    (r"(?<![<=])>=", ">", "comparison"),
    (r"(?<= )<(?= )", "<=", "comparison"),
    (r"(?<= )>(?= )", ">=", "comparison"),
    (r"<>", "=", "comparison"),
    (r"\bIS NOT NULL\b", "IS NULL", "null swapped"),
    (r"\bIS NULL\b", "IS NOT NULL", "null swapped"),
    (r"\bNOT (?=EXISTS|\(|IN\b|refreshable)", "", "not dropped"),
    (r"DISTINCT (?!ON)", "", "distinct dropped"),
    (r" NULLS FIRST", "", "nulls first dropped"),
    (r" DESC\b", "", "order turned"),
    (r"date_trunc\('day'", "date_trunc('hour'", "constant"),
)
_LUA = (
    (r" < ", " <= ", "comparison"),
    (r" <= ", " < ", "comparison"),
    (r" > ", " >= ", "comparison"),
    (r" >= ", " > ", "comparison"),
    (r" == ", " ~= ", "comparison"),
    (r" ~= ", " == ", "comparison"),
    (r" \+ ", " - ", "arithmetic"),
    (r" - ", " + ", "arithmetic"),
    (r" \* ", " / ", "arithmetic"),
    (r" / ", " * ", "arithmetic"),
    (r"\band\b", "or", "and/or"),
    (r"\bor\b", "and", "and/or"),
    (r"\bmax\(", "min(", "function swapped"),
    (r"\bmin\(", "max(", "function swapped"),
    (r"\bceil\(", "floor(", "function swapped"),
    (r"(?<=if )[^\n]*(?= then)", "true", "always"),
    (r"(?<=if )[^\n]*(?= then)", "false", "never"),
    (r"(?m)^ +(?:consider\(.*\)|(?:state\[.*\]|every, .*|fresh|wait, .*) = .*)$", "", "statement dropped"),
    (r"(?<![\w.'])\d+(?![\w.])", "7", "constant"),
    (r"\btrue\b", "false", "constant"),
)


def sql_edits(text: str) -> Iterator[Edit]:
    """Yield the edits of one string that holds SQL, its Python quotes included."""
    comments = [match.span() for match in _COMMENT.finditer(text)]
    edits = [*_simple(text, _SIMPLE), *_conditions(text), *_assignments(text)]
    for edit in edits:
        if not any(start <= edit.start < end for start, end in comments):
            yield edit


def lua_edits(text: str) -> Iterator[Edit]:
    """Yield the edits of a script, its first lines apart: they name the numbers."""
    comments = [match.span() for match in _COMMENT.finditer(text)]
    first = text.index("local now")
    for edit in _simple(text, _LUA):
        if edit.start >= first and not any(start <= edit.start < end for start, end in comments):
            yield edit


def _simple(text: str, edits: tuple[tuple[str, str, str], ...]) -> Iterator[Edit]:
    for pattern, new, kind in edits:
        for match in re.finditer(pattern, text):
            if (changed := match.expand(new)) != match[0]:
                yield Edit(*match.span(), changed, kind)


def _conditions(text: str) -> Iterator[Edit]:
    for match in _CONDITION.finditer(text):
        word, start = match[1], match.end()
        if word == "AND" and _OF_BETWEEN.search(text, 0, match.start()):
            continue
        end = _end_of_condition(text, start)
        if word == "WHEN":
            yield Edit(start, end, "TRUE ", "always")
            yield Edit(start, end, "FALSE ", "never")
        else:
            fence = "fence dropped" if _FENCE.search(text, start, end) else "condition dropped"
            yield Edit(start, end, "FALSE " if word == "OR" else "TRUE ", fence)


def _end_of_condition(text: str, start: int) -> int:
    depth, place, between = 0, start, False
    while place < len(text):
        if text.startswith("BETWEEN", place):
            between = True
        match = _ENDS.match(text, place) if text[place - 1] in " \n(" else None
        if match and not depth:
            if not (match[0] == "AND" and between):
                return place
            between = False
        depth += (text[place] == "(" or _word(text, place, "CASE")) - (
            text[place] == ")" or _word(text, place, "END")
        )
        if (
            depth < 0
            or text[place] == '"'
            or text.startswith(" {lane}", place)
            or text.startswith(" {same_lane}", place)
        ):
            return place
        place += 1
    return place


def _word(text: str, place: int, word: str) -> bool:
    return re.compile(rf"(?<!\w){word}\b").match(text, place) is not None


def _assignments(text: str) -> Iterator[Edit]:
    for match in _ASSIGNMENTS.finditer(text):
        cuts, depth = [match.end()], 0
        for place in range(match.end(), len(text)):
            depth += (text[place] == "(" or _word(text, place, "CASE")) - (
                text[place] == ")" or _word(text, place, "END")
            )
            if not depth and text[place] == ",":
                cuts.append(place + 1)
            if not depth and re.compile(r"\b(FROM|WHERE|RETURNING)\b|\"").match(text, place):
                cuts.append(place + 1)
                break
        for number, (start, end) in enumerate(pairwise(cuts)):
            if len(cuts) == 2:
                break
            last = number == len(cuts) - 2
            # A comma goes with it: its own, or the one before the last.
            yield Edit(
                start - 1 if last else start,
                end - 1 if last else end,
                " " if last else "",
                "assignment dropped",
            )
