"""Random EDN, as text: what Jepsen writes, and what nobody would."""

from __future__ import annotations

from hypothesis import strategies as st

NAMES = st.from_regex(r"[a-z*!_?+-][a-z0-9*!_?+-]{0,5}", fullmatch=True).filter(
    lambda name: name not in ("nil", "true", "false", "null") and not (name[0] in "+-" and name[1:2].isdigit())
)
SYMBOLS = st.one_of(NAMES, st.builds("{}/{}".format, NAMES.filter(str.isalpha), NAMES))
STRINGS = st.text("ab é😀/:;#,{[(\"\\'", max_size=8).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
SCALARS = st.one_of(
    st.sampled_from(
        ["nil", "true", "false", "0", "-0", "+7", "1.5", "-0.25", "1e5", "1E-3", "6.02e+23", "12N", "1.5M"]
    ),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    STRINGS,
    SYMBOLS.map(":{}".format),
    SYMBOLS,
    st.sampled_from([r"\a", r"\newline", r"\space", r"A", r"\tab", r"\(", r'"a\nb\t\"\\"', '"two\nlines"']),
)
SPACES = st.sampled_from(
    [" ", " ", " ", "  ", ", ", ",", "\n", "\n ", "\t", " ; aside [\n", " #_ nobody ", " #_[1 {:a 2}] "]
)


def sequences(values: st.SearchStrategy[str], brackets: tuple[str, str]) -> st.SearchStrategy[str]:
    spaced = st.lists(st.tuples(values, SPACES), max_size=4).map(lambda pairs: "".join(v + s for v, s in pairs))
    return spaced.map(lambda inside: f"{brackets[0]}{inside}{brackets[1]}")


def maps(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    keys = st.one_of(SYMBOLS.map(":{}".format), STRINGS, st.integers().map(str))
    # Distinct however they are spelt: of a key that occurs twice readers make different things.
    entries = st.lists(
        st.tuples(keys, SPACES, values, SPACES), max_size=4, unique_by=lambda entry: entry[0].strip(':"')
    )
    return entries.map(lambda all_: "{" + "".join("".join(entry) for entry in all_) + "}")


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        sequences(inner, ("[", "]")), sequences(inner, ("(", ")")), sequences(inner, ("#{", "}")), maps(inner)
    ),
    max_leaves=12,
)
"""One value, anything that EDN has but tags."""

PLAIN = st.recursive(
    st.one_of(
        st.sampled_from(["nil", "true", "false", ":r", ":append", ":x", "1.5"]), st.integers(-9, 99).map(str), STRINGS
    ),
    lambda inner: st.lists(inner, max_size=4).map(lambda items: f"[{' '.join(items)}]"),
    max_leaves=12,
)
"""Values as Jepsen writes most of them."""

TYPES = st.sampled_from([":invoke", ":ok", ":fail", ":info"])


@st.composite
def operation(draw: st.DrawFn) -> str:
    """A line with an operation, or with what looks like one."""
    entries = [
        f":type {draw(st.one_of(TYPES, TYPES, TYPES, VALUES))}",
        f":f {draw(st.one_of(st.sampled_from([':read', ':txn', ':cas', ':read']), SCALARS))}",
        f":process {draw(st.one_of(st.integers(0, 5).map(str), st.just(':nemesis'), SCALARS))}",
    ]
    if draw(st.booleans()):
        entries.append(f":value {draw(st.one_of(PLAIN, PLAIN, VALUES))}")
    if draw(st.booleans()):
        entries.append(f":time {draw(st.one_of(st.integers(0, 10**12).map(str), SCALARS))}")
    if draw(st.booleans()):
        entries.append(f":index {draw(st.integers(0, 99))}")
    if draw(st.integers(0, 3)) == 0:
        entries.append(f":error {draw(st.one_of(PLAIN, VALUES))}")
    if draw(st.integers(0, 3)) == 0:
        entries.append(f"{draw(SCALARS)} {draw(VALUES)}")
    separator = draw(st.sampled_from([", ", ", ", ", ", " ", ",", ",\n "]))
    opening = draw(st.sampled_from(["{", "{", "{", "#jepsen.history.Op{", " {", "#_{:a 1} {", "{ "]))
    closing = draw(st.sampled_from(["}\n", "}\n", "}\n", "} ; aside\n", "} ", "}\r\n"]))
    return opening + separator.join(draw(st.permutations(entries))) + closing
