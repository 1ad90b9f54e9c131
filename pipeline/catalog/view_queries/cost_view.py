"""The view `cost`: what was paid, by day, operation and labels."""

from __future__ import annotations

from pipeline.catalog.view_queries.view import View

COST = View(
    "cost",
    "Calls and their cost by day (UTC), operation and labels: retries, answers paid again, calls that duplicates saved",
    """
WITH prices AS (
    SELECT run_id, coalesce(CAST(settings ->> 'price_per_call' AS DOUBLE), 0) AS price FROM runs
),
paid AS (  -- what was erased was paid all the same
    SELECT * REPLACE (CASE WHEN outcome IN ('erased', 'forgotten') AND stage = 'succeeded' THEN 'succeeded'
                           ELSE outcome END AS outcome) FROM ledger
),
calls AS (
    SELECT CAST(completed_at AS DATE) AS day, operation, labels, outcome, attempts, coalesce(price, 0) AS price,
           outcome = 'succeeded'
           AND row_number() OVER (PARTITION BY operation, item_id, outcome ORDER BY completed_at, run_id) > 1
           AS is_again
    FROM paid LEFT JOIN prices USING (run_id)
)
SELECT day, operation, labels,
       CAST(sum(attempts) AS BIGINT) AS calls,
       CAST(sum(greatest(attempts - 1, 0)) AS BIGINT) AS retries,
       count(*) FILTER (outcome = 'succeeded') AS succeeded,
       count(*) FILTER (is_again) AS paid_again,
       count(*) FILTER (outcome = 'duplicate') AS saved_calls,
       coalesce(sum(price) FILTER (outcome = 'succeeded'), 0) AS cost,
       coalesce(sum(price) FILTER (is_again), 0) AS cost_again,
       coalesce(sum(price) FILTER (outcome = 'duplicate'), 0) AS saved_cost
FROM calls GROUP BY day, operation, labels
""",
)
"""Times are UTC there. An image read again on purpose (`--reread_before`) counts as answered again."""
