"""One table in three notations, sign by sign."""

import csv
import io

from contsym.report.table_formats import (
    SUMMARY_PARTS,
    Cell,
    Column,
    Table,
    interval_cell,
    interval_text,
    make_table,
    text_column,
    to_csv,
    to_latex,
    to_markdown,
    write_tables,
)
from contsym.results.metrics.stats import Summary

ACCURACY = Column("accuracy", "accuracy", SUMMARY_PARTS)
TABLE = make_table(
    "made-up",
    "Accuracy & more",
    (text_column("strategy"), Column("shots"), ACCURACY),
    (
        (
            Cell("knn_fixed", ("knn_fixed",), strong=True),
            1024,
            Summary(3, 0.95, 0.01, 0.94, 0.96, "bootstrap"),
        ),
        ("a|b", 8, Cell("not finished")),
    ),
    "100% of the pairs.",
)


def test_markdown_escapes_what_would_end_a_cell():
    assert to_markdown(TABLE) == (
        "**Accuracy & more**\n\n"
        "| strategy | shots | accuracy |\n"
        "|---|---:|---:|\n"
        "| **knn\\_fixed** | 1,024 | 0.950 \\[0.940, 0.960\\] |\n"
        "| a\\|b | 8 | not finished |\n"
        "\n100% of the pairs.\n"
    )


def test_csv_has_plain_values_and_says_in_words_why_one_is_missing():
    assert to_csv(TABLE) == (
        "strategy,shots,accuracy_mean,accuracy_low,accuracy_high,accuracy_n,accuracy_note\n"
        "knn_fixed,1024,0.95,0.94,0.96,3,\n"
        "a|b,8,,,,,not finished\n"
    )


def test_csv_has_the_words_beside_a_number_in_a_column_of_their_own():
    cell = interval_cell(Summary(3, 0.25, 0.01, 0.2, 0.3, "bootstrap"), note="not learned")
    assert cell.text == "0.250 [0.200, 0.300] (not learned)"
    table = make_table("t", "t", [ACCURACY], [[cell]])
    assert to_csv(table).splitlines()[1] == "0.25,0.2,0.3,3,not learned"


def test_csv_gives_awkward_names_back():
    awkward = 'x, "y"\n<script>]]>'
    table = make_table("t", "t", [text_column("name")], [[awkward]])
    assert list(csv.reader(io.StringIO(to_csv(table))))[1] == [awkward]


def test_latex_is_a_booktabs_table_with_its_signs_escaped():
    assert to_latex(TABLE) == (
        "% needs \\usepackage{booktabs}\n"
        "\\begin{table}\n"
        "\\centering\n"
        "\\caption{Accuracy \\& more. 100\\% of the pairs.}\n"
        "\\label{tab:made-up}\n"
        "\\begin{tabular}{lrr}\n"
        "\\toprule\n"
        "strategy & shots & accuracy \\\\\n"
        "\\midrule\n"
        "\\textbf{knn\\_fixed} & 1,024 & 0.950 [0.940, 0.960] \\\\\n"
        "a\\textbar{}b & 8 & not finished \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
        "\\end{table}\n"
    )


def test_latex_row_that_begins_with_a_bracket_is_no_argument_of_the_row_before():
    table = make_table("t", "t", [text_column("a")], [["[x] [y]"]])
    assert "\n{[}x] [y] \\\\\n" in to_latex(table)


def test_minus_zero_is_zero_and_a_lone_value_has_no_brackets():
    assert interval_text(Summary(3, -0.0001, 0.0, -0.0001, 0.0001, "bootstrap"), sign=True) == (
        "+0.000 [+0.000, +0.000]"
    )
    assert interval_text(Summary(1, 0.5, None, None, None, "none")) == "0.500"
    assert interval_text(Summary(2, 0.058, None, 0.05, 0.066, "bootstrap"), scale=100, digits=1) == (
        "5.8 [5.0, 6.6]"
    )


def test_files_have_the_table_s_name_in_plain_signs(tmp_path):
    odd = Table("a/../b c", "t", TABLE.columns, TABLE.rows)
    write_tables([TABLE, odd], tmp_path / "tables")
    assert sorted(p.name for p in (tmp_path / "tables").iterdir()) == [
        *("a_.._b_c.csv", "a_.._b_c.md", "a_.._b_c.tex"),
        *("made-up.csv", "made-up.md", "made-up.tex"),
    ]
