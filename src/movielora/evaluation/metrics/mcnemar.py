"""McNemar's exact test: does the candidate fix more rows than it breaks?"""

from __future__ import annotations

from typing import Any

from movielora.scoring.log_odds import Bools

CAVEAT = "assumes independent rows; rows of one user are not, so rely on the interval over users"


def mcnemar_exact(reference_correct: Bools, candidate_correct: Bools) -> dict[str, Any]:
    """`{"fixed", "broken", "p_value", "caveat"}` from the rows (rows,) that each column answers correctly.

    Of the rows where the two differ, the number fixed is binomial with p = ½ if neither is better; two-sided exact
    (McNemar, *Psychometrika* 12 (1947); Edwards's exact form). Without a differing row the p-value is 1.
    """
    from scipy.stats import binomtest

    fixed = int((candidate_correct & ~reference_correct).sum())
    broken = int((reference_correct & ~candidate_correct).sum())
    p_value = float(binomtest(fixed, fixed + broken, 0.5).pvalue) if fixed + broken else 1.0
    return {"fixed": fixed, "broken": broken, "p_value": p_value, "caveat": CAVEAT}
