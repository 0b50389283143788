"""A dataset of NLI pairs from Wikidata triples of any size: every step is a table of the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import contsym
from contsym.data import splits
from contsym.data.schema import FORMS, LABEL_OF_KIND, Form
from contsym.data.sql import Connection, engine_error, hash_share, insert, literal, one_row, open_engine
from contsym.data.wikidata import manifest, neutral
from contsym.data.wikidata.entities import UNKNOWN, UNLABELLED, check_pattern, drop_unknown, name_entities
from contsym.data.wikidata.relations import OWN, Registry, registry, template
from contsym.data.wikidata.triples import Read, read_labels, read_triples
from contsym.errors import ContsymError, DataError, SettingError, first_line
from contsym.files import to_json, write_whole

MANY_MUTUAL = 0.005
"""Share of mutual triples from which on an antisymmetric relation gets a warning. Errors of Wikidata's editors are
rarer (none in CoDEx's 1,393 triples of antisymmetric relations); for `influenced by` (P737) the share is 1.2%."""
FEW_MIRRORED = 0.05
"""Share of mirrored triples below which a symmetric relation gets a warning. Most data state many symmetric facts in
one direction only, so only a very small share means something."""
LEAST_TRIPLES = 20
"""A relation with fewer triples gets no such warning."""
MAX_SKIPPED = 200
"""Most unregistered properties in the manifest; the most frequent ones count."""
Say = Callable[[str], None]
_RECORDED = ("bare", "paraphrase", "neutral", "distract", "balance", "max_per_relation", "max_bad")


@dataclass(frozen=True)
class BuildOptions:
    """The options of `contsym data build`. Raises SettingError or DataError for impossible ones."""

    triples: Path
    out: Path
    labels: Path | None = None
    relations: Path | None = None
    sole_property: str | None = None
    """The property of all rows of a SPARQL result without a column for it."""
    form: Form = "both"
    split: splits.SplitRule = "pair"
    test_share: float = 0.2
    seed: int = 0
    bare: bool = False
    paraphrase: bool = False
    neutral: bool = False
    distract: bool = False
    balance: bool = False
    max_per_relation: int | None = None
    max_bad: float = 0.01

    def __post_init__(self) -> None:
        if self.split not in get_args(splits.SplitRule):
            raise SettingError(f"--split {self.split}: expected one of {', '.join(splits.SPLIT_RULES)}")
        if not 0 < self.test_share < 1:
            raise SettingError(f"--test-share {self.test_share:g}: expected more than 0 and less than 1")
        if not 0 <= self.max_bad < 1:
            raise SettingError(f"--max-bad {self.max_bad:g}: expected at least 0 and less than 1")
        if self.max_per_relation is not None and self.max_per_relation < 1:
            raise SettingError(f"--max-per-relation {self.max_per_relation}: expected at least 1")
        if self.bare and (self.paraphrase or self.split == "phrasing"):
            other = "--paraphrase" if self.paraphrase else "--split phrasing"
            raise SettingError(
                f"--bare has one phrasing per relation, and {other} needs several; leave one out"
            )
        files = {"triples": self.triples, "labels": self.labels, "relations": self.relations}
        for option, path in files.items():
            is_own = option == "relations" and str(path) in OWN
            if path is not None and not is_own and not path.is_file():
                problem = "a folder" if path.is_dir() else "no such file"
                names = f", or {' or '.join(OWN)}" if option == "relations" else ""
                raise DataError(f"--{option} {path}: {problem}; expected the path of a file{names}")
        if self.out.exists():
            raise SettingError(f"--to {self.out} exists; name another folder, or remove it")


def build(options: BuildOptions, say: Say = lambda _: None) -> dict[str, Any]:
    """Write `out` with train.parquet, test.parquet and manifest.json atomically; returns the manifest.

    `say` receives the name of each step when it starts. Raises DataError, with file and line, for more than max_bad
    bad lines, where nothing can be built, and where the split would break its promise.
    """
    # Loads DuckDB before the folder exists, so that Ctrl-C meanwhile ends the process at once.
    duckdb_error = engine_error()
    result: dict[str, Any] = {}

    def fill(folder: Path) -> None:
        with open_engine(folder) as con:
            result.update(_Build(con, options, folder, say).run())
        (folder / manifest.MANIFEST).write_text(to_json(result), encoding="utf-8")

    try:
        write_whole(options.out, fill)
    except OSError as error:
        problem = f"--to {options.out} cannot be written ({error.strerror or error})"
        raise ContsymError(f"{problem}; expected a folder in a place that you may write to") from None
    except duckdb_error as error:
        reason = first_line(error, 200)
        raise ContsymError(f"--to {options.out} could not be built ({reason})") from error
    return result


class _Build:
    """One build; each method makes the tables of its name, in the order of `run`."""

    def __init__(self, con: Connection, options: BuildOptions, folder: Path, say: Say) -> None:
        self.con, self.options, self.folder, self.say = con, options, folder, say
        self.registry: Registry = registry(options.relations)
        self.forms: tuple[Form, ...] = FORMS if options.form == "both" else (options.form,)
        self.left_out: dict[str, int] = {}
        self.warnings: list[str] = []

    def run(self) -> dict[str, Any]:
        options, pattern = self.options, self.registry.entity_name
        check_pattern(self.con, pattern, options.relations)
        inputs = self.read()
        self._leave_out({UNKNOWN: drop_unknown(self.con)})
        self.templates()
        self.say("naming entities")
        is_lexicalised = "lexicalised" in self.forms
        self.warnings += name_entities(self.con, options.triples, options.labels, is_lexicalised, pattern)
        self.facts()
        relations = self.mirrored()
        self.pairs()
        self.say(f"splitting by {options.split}")
        split = splits.assign(self.con, options.split, options.test_share, options.seed)
        self._leave_out(split.n_left_out)
        self.warnings += [split.remark] if split.remark else []
        if options.balance:
            n_deleted = sum(splits.balance_kinds(self.con, side, options.seed) for side in (False, True))
            self._leave_out({"pairs of the more frequent kind (--balance)": n_deleted})
            for part, n in zip(splits.SIDES, splits.counts(self.con), strict=True):
                if not n:
                    raise DataError(
                        f"--balance: the {part} part would be empty, since it has pairs of one kind only; expected symmetric "
                        "and antisymmetric relations in both parts, or leave --balance out"
                    )
        self.rows()
        if options.neutral or options.distract:
            kinds = [kind for kind in neutral.KINDS if getattr(options, kind)]
            self.warnings += neutral.draw(self.con, kinds, options.seed, self.say)
        self.say("checking the split")
        self.check()
        given = options.relations or Path("wikidata")
        files = {}
        for part in splits.SIDES:
            self.say(f"writing {part}")
            entry = manifest.write_part(self.con, self.folder, part, self.forms, options.seed)
            files[manifest.part_file(part)] = entry
        sql = "SELECT relation, is_test, count(*) FROM rows WHERE label <> 'neutral' GROUP BY ALL"
        for relation, is_test, n in self._rows(sql):
            relations[relation][splits.SIDES[is_test]] = n
        return {
            "format": manifest.FORMAT,
            "tool": f"contsym {contsym.__version__}",
            "split": {
                "rule": options.split,
                "meaning": splits.SPLIT_RULES[options.split],
                "test_share": options.test_share,
                "seed": options.seed,
            },
            "forms": list(self.forms),
            "options": {name: getattr(options, name) for name in _RECORDED},
            "inputs": inputs,
            "registry": {
                "version": self.registry.version,
                "file": f"{OWN[str(given)]} of contsym" if str(given) in OWN else given.name,
                "sha256": self.registry.sha256,
            },
            "labels": manifest.label_counts(self.con),
            "relations": {key: relations[key] for key in sorted(relations)},
            "skipped_properties": self.skipped(),
            "left_out": self.left_out,
            "warnings": self.warnings,
            "files": files,
        }

    def read(self) -> dict[str, Any]:
        options = self.options
        self.say(f"reading {options.triples}")
        sole = options.sole_property
        if sole is not None and sole not in self.registry.relations:
            unknown = "not in the registry; add it with --relations FILE"
            raise SettingError(f"--property {sole}: {self.registry.refused.get(sole, unknown)}")
        read = read_triples(self.con, options.triples, self.registry, options.max_bad, self.folder, sole)
        self._warn_of_bad_lines(read)
        inputs = {"triples": asdict(read)}
        if not self._number("SELECT count(*) FROM triples"):
            skipped = [row[0] for row in self._rows("SELECT property FROM skipped ORDER BY n DESC, property")]
            refused = next(map(self.registry.why_not, filter(self.registry.refused.get, skipped)), None)
            raise DataError(
                f"{options.triples}: no triple of a registered relation; it has {', '.join(skipped[:5]) or 'none'}"
                + (f" ({refused.rstrip('.')})" if refused else "")
                + "; expected Wikidata properties such as P26 in the second column, or give a registry with --relations"
            )
        if options.labels:
            self.say(f"reading {options.labels}")
            read, n_named, n_twice, example = read_labels(
                self.con, options.labels, options.max_bad, self.folder
            )
            self._warn_of_bad_lines(read)
            inputs["labels"] = {**asdict(read), "ids_given_twice": n_twice}
            # Without any label the step that names the entities says so.
            if not n_named and self._number("SELECT count(*) FROM labels"):
                self.warnings.append(
                    f"{options.labels.name} names none of the entities; their labels are those of {options.triples.name}"
                )
            if n_twice:
                self.warnings.append(
                    f"{n_twice:,} ids have several lines of labels, as {example}; the first counts"
                )
        return inputs

    def _warn_of_bad_lines(self, read: Read) -> None:
        if read.bad_lines:
            self.warnings.append(f"{read.bad_lines:,} bad lines are left out, as {read.first_bad}")

    def templates(self) -> None:
        self.con.execute(
            "CREATE TABLE templates (relation VARCHAR, i INTEGER, phrasing VARCHAR, x_first BOOLEAN, "
            "head VARCHAR, middle VARCHAR, tail VARCHAR)"
        )
        columns = ", ".join(f"{name} VARCHAR" for name in ("relation", "kind", "domain", "family"))
        self.con.execute(f"CREATE TABLE known_relations ({columns})")
        relations = self.registry.relations.values()
        insert(self.con, "known_relations", [(r.id, r.kind, r.domain, r.family) for r in relations])
        templates: list[tuple[object, ...]] = []
        for relation in relations:
            for i, phrasing in enumerate(relation.phrasings[: 1 if self.options.bare else None]):
                x_first, texts = template(phrasing)
                templates.append((relation.id, i, phrasing, x_first, *texts))
        insert(self.con, "templates", templates)

    def facts(self) -> None:
        """facts(relation, kind, s, o, s_id, o_id, s_name, o_name): distinct usable triples; s and o are keys."""
        joined = "triples t JOIN entities s ON s.entity = t.subject JOIN entities o ON o.entity = t.object"
        reason = f"""CASE WHEN t.subject = t.object THEN 'triples of an entity with itself'
          WHEN s.key IS NULL OR o.key IS NULL THEN '{UNLABELLED}'
          WHEN s.key = o.key THEN 'triples of two entities with the same name' END"""
        sql = f"SELECT {reason} AS why, count(*) FROM {joined} GROUP BY 1 HAVING why IS NOT NULL"
        self._leave_out(dict(self._rows(sql)))
        self._leave_out({"repeated triples": self._number("SELECT sum(n - 1)::BIGINT FROM triples")})
        self.con.execute(
            f"""CREATE TABLE facts AS SELECT t.relation, r.kind, s.key AS s, o.key AS o, s.opaque AS s_id,
              o.opaque AS o_id, s.name AS s_name, o.name AS o_name
            FROM {joined} JOIN known_relations r ON r.relation = t.relation WHERE {reason} IS NULL"""
        )
        if not self._number("SELECT count(*) FROM facts"):
            counts = ", ".join(f"{n:,} {reason}" for reason, n in self.left_out.items()) or "none was read"
            hint = "; give --labels FILE, or --form delexicalised" if UNLABELLED in self.left_out else ""
            raise DataError(f"{self.options.triples}: no triple is left to build from ({counts}){hint}")
        # One row per relation and two entities in either order, which avoids a join of the table with itself.
        self.con.execute(
            """CREATE TABLE grouped AS SELECT relation, kind, least(s, o) AS a, greatest(s, o) AS b,
              bool_or(s < o) AS forward, bool_or(s > o) AS backward,
              min(CASE WHEN s < o THEN s_id ELSE o_id END) AS a_id, min(CASE WHEN s < o THEN o_id ELSE s_id END) AS b_id,
              arg_min(CASE WHEN s < o THEN s_name ELSE o_name END, CASE WHEN s < o THEN s_id ELSE o_id END) AS a_name,
              arg_min(CASE WHEN s < o THEN o_name ELSE s_name END, CASE WHEN s < o THEN o_id ELSE s_id END) AS b_name
            FROM facts GROUP BY ALL"""
        )

    def mirrored(self) -> dict[str, dict[str, Any]]:
        """Counts per relation, and warnings where the data contradict the registry; contradicting pairs are left out."""
        counts = {}
        sql = "SELECT relation, kind, count(*), count(*) FILTER (forward AND backward) FROM grouped GROUP BY ALL ORDER BY ALL"
        for relation, kind, n_pairs, n_mutual in self._rows(sql):
            n_triples = n_pairs + n_mutual
            share = 2 * n_mutual / n_triples
            name = self.registry.names[relation]
            counts[relation] = {
                "name": name,
                "kind": kind,
                "triples": n_triples,
                "pairs": n_pairs,
                "mutual_pairs": n_mutual,
                "mirrored_share": share,
                "train": 0,
                "test": 0,
            }
            if n_triples < LEAST_TRIPLES:
                continue
            if kind == "antisymmetric" and share >= MANY_MUTUAL:
                self.warnings.append(
                    f"{relation} {name} is registered as antisymmetric, and {n_mutual:,} of its {n_pairs:,} pairs "
                    "are stated both ways; they are left out"
                )
            if kind == "symmetric" and share < FEW_MIRRORED:
                self.warnings.append(
                    f"{relation} {name} is registered as symmetric, and the mirror image of only {share:.1%} of its "
                    f"{n_triples:,} triples is stated"
                )
        sql = "SELECT count(*) FROM grouped WHERE kind = 'antisymmetric' AND forward AND backward"
        self._leave_out({"antisymmetric pairs stated both ways": self._number(sql)})
        return counts

    def pairs(self) -> None:
        """pairs(row, id, relation, kind, a, b, phrasing) for the split, and further columns for `rows`."""
        options = self.options
        draw = hash_share(str(options.seed), "'direction'", "relation", "a_id", "b_id")
        # A hash draws the order of two symmetric entities, since the order of the source may predict the kind.
        is_forward = f"CASE WHEN kind = 'symmetric' THEN {draw} < 0.5 ELSE forward END"
        directed = f"SELECT *, {is_forward} AS is_forward FROM usable"
        if options.split == "random":
            # As in the paper's data: a symmetric fact that is stated both ways is two pairs.
            directed += f" UNION ALL SELECT *, NOT ({is_forward}) FROM usable WHERE forward AND backward"
        usable = "usable AS (SELECT * FROM grouped WHERE kind = 'symmetric' OR NOT (forward AND backward))"
        n_phrasings = "(SELECT count(*) FROM templates t WHERE t.relation = d.relation)"
        limit = (
            f"QUALIFY row_number() OVER (PARTITION BY relation ORDER BY {hash_share(str(options.seed), 'id')}) "
            f"<= {options.max_per_relation}"
            if options.max_per_relation
            else ""
        )
        self.con.execute(
            f"""CREATE TABLE candidates AS
            WITH {usable}, d AS ({directed}),
            named AS (SELECT *, relation || '/' || CASE WHEN is_forward THEN a_id || '/' || b_id
              ELSE b_id || '/' || a_id END AS id FROM d)
            SELECT *, least(floor({hash_share(str(options.seed), "'phrasing'", "id")} * n_ways), n_ways - 1)::INTEGER AS i
            FROM (SELECT d.*, {n_phrasings} AS n_ways FROM named d) {limit}"""
        )
        self.con.execute(
            """CREATE TABLE pairs AS SELECT row_number() OVER () AS row, c.id, c.relation, c.kind, c.a, c.b, t.phrasing,
              c.i, c.is_forward, c.a_id, c.b_id, c.a_name, c.b_name
            FROM candidates c JOIN templates t ON t.relation = c.relation AND t.i = c.i"""
        )
        if options.max_per_relation:
            n = self._number("SELECT count(*) FROM pairs")
            sql = f"WITH {usable}, d AS ({directed}) SELECT count(*) FROM d"
            self._leave_out({"pairs above --max-per-relation": max(0, self._number(sql) - n)})
        self.con.execute("DROP TABLE candidates; DROP TABLE facts; DROP TABLE entities")

    def rows(self) -> None:
        """rows: the pairs to write, each with the facts of its premise and of its hypothesis."""
        ends = ", ".join(
            f"CASE WHEN is_forward THEN {first}_{what} ELSE {second}_{what} END AS {role}_{what}"
            for role, first, second in (("s", "a", "b"), ("o", "b", "a"))
            for what in ("id", "name")
        )
        cases = " ".join(f"WHEN {literal(k)} THEN {literal(label)}" for k, label in LABEL_OF_KIND.items())
        self.con.execute(
            f"""CREATE TABLE rows AS SELECT *, relation AS h_relation, i AS h_i, o_id AS hs_id, s_id AS ho_id,
              o_name AS hs_name, s_name AS ho_name, a AS h_a, b AS h_b FROM
            (SELECT id, is_test, relation, kind, CASE kind {cases} END AS label, i, a, b, {ends}
             FROM pairs JOIN sides USING (row))"""
        )
        # allowed: the phrasings of each part.
        by_phrasing = self.options.split == "phrasing"
        is_held_out = "phrasing IN (SELECT name FROM held_out)" if by_phrasing else "false"
        self.con.execute(
            f"""CREATE TABLE allowed AS SELECT t.relation, t.i, side AS is_test FROM templates t,
            (VALUES (false), (true)) sides_of(side) WHERE {f"side = ({is_held_out})" if by_phrasing else "true"}"""
        )
        if not self.options.paraphrase:
            return
        draw = hash_share(str(self.options.seed), "'paraphrase'", "r.id", "t.i")
        self.con.execute(
            f"""UPDATE rows SET h_i = other.i FROM
            (SELECT r.id, arg_min(t.i, {draw}) AS i FROM rows r JOIN allowed t
             ON t.relation = r.relation AND t.is_test = r.is_test AND t.i <> r.i GROUP BY r.id) other
            WHERE other.id = rows.id"""
        )
        if n_alike := self._number("SELECT count(*) FROM rows WHERE h_i = i"):
            problem = f"{n_alike:,} pairs have only one phrasing in their part"
            self.warnings.append(f"{problem}; --paraphrase leaves them unchanged")

    def check(self) -> None:
        """Check the promise of the split on the facts of premises and hypotheses."""
        self.con.execute(
            """CREATE VIEW stated AS
            SELECT r.is_test, r.relation, r.a, r.b, t.phrasing FROM rows r JOIN templates t
              ON t.relation = r.relation AND t.i = r.i
            UNION ALL SELECT r.is_test, r.h_relation, r.h_a, r.h_b, t.phrasing FROM rows r JOIN templates t
              ON t.relation = r.h_relation AND t.i = r.h_i"""
        )
        splits.check(self.con, "stated", self.options.split)

    def skipped(self) -> dict[str, dict[str, Any]]:
        """The most frequent properties that are not in the registry, and the reasons."""
        rows = self._rows(f"SELECT property, n FROM skipped ORDER BY n DESC, property LIMIT {MAX_SKIPPED}")
        return {
            property_: {"triples": n, "reason": self.registry.why_not(property_)} for property_, n in rows
        }

    def _leave_out(self, counts: Mapping[str, int]) -> None:
        for reason, n in counts.items():
            if n:
                self.left_out[reason] = self.left_out.get(reason, 0) + n

    def _rows(self, sql: str) -> list[tuple]:
        return self.con.execute(sql).fetchall()

    def _number(self, sql: str) -> int:
        return one_row(self.con, sql)[0] or 0
