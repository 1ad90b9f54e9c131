"""`evaluate`: how well the cards of an output were read, against a file that tells what is printed on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cardbeam.config.options import SettingError, option, validate_output
from cardbeam.storage.folder import open_folder
from pipeline.catalog.views import connect
from pipeline.cli.exit_codes import EXIT_COMPLETE, UsageError
from pipeline.cli.options import parse
from pipeline.evaluation.evaluate import Evaluation, evaluate
from pipeline.evaluation.tables import Table, compared, printed, tables_of
from pipeline.evaluation.truth_file import TrueCard, read_truth

PAGE_FILE = "evaluation.html"


@dataclass(frozen=True, slots=True)
class EvaluateSettings:
    """What is compared with what."""

    output: str = option("", help="The output folder whose tables are evaluated.")
    truth: str = option("", help="A CSV file with the columns uri, type (optional) and fields, one card a line.")
    precision: float = option(0.99, help="The share of accepted values that must be right, for the thresholds.")
    compare: str = option("", help="Another output folder, which is held against the same truth.")

    def validate(self) -> Iterator[SettingError]:
        """What is wrong with it, in words."""
        yield from validate_output(self.output)
        if self.compare:
            yield from validate_output(self.compare)
        if not self.truth:
            yield "--truth is missing: a CSV file with the columns uri, type and fields"
        if not 0 < self.precision <= 1:
            yield f"--precision is {self.precision}, expected more than 0 and at most 1"


def main(arguments: Sequence[str]) -> int:
    """Hold the tables against a file of true values; print the result and write evaluation.html. Makes no API calls."""
    (asked,), _ = parse("evaluate", str(main.__doc__), arguments, EvaluateSettings, runner=None)
    truth = read_truth(asked.truth)
    found = _evaluated(asked.output, truth)
    tables = list(tables_of(found, asked.precision))
    if asked.compare:
        tables.append(compared(found, _evaluated(asked.compare, truth), asked.compare))
    print("\n\n".join(printed(table) for table in tables))
    print(f"\n{_write_page(asked, found, tables)}")
    return EXIT_COMPLETE


def _evaluated(output: str, truth: Sequence[TrueCard]) -> Evaluation:
    return evaluate(connect(output), truth)


def _write_page(asked: EvaluateSettings, found: Evaluation, tables: Sequence[Table]) -> str:
    try:
        from pipeline.evaluation.page import page  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise UsageError(f"{error.name} is not installed; pip install 'cardbeam[report]'") from None
    folder = open_folder(asked.output)
    folder.write(PAGE_FILE, page(asked.truth, found, tables).encode())
    return f"{asked.output.rstrip('/')}/{PAGE_FILE}"
