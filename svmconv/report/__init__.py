"""Verdicts for people and for programs: a table, a JSON object, a folder with pictures."""

from svmconv.report.folder import write_report as write_report
from svmconv.report.numbers import to_json as to_json
from svmconv.report.terminal import table as table
