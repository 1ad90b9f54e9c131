#!/usr/bin/env bash
# A run: backfill, then what its exit status asks for. Settings come from the environment; INPUT and OUTPUT must be there.
# With --resume it does nothing unless the last run left something for later.
set -uo pipefail
cardbeam=${CARDBEAM:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
: "${INPUT:?a glob or a manifest}" "${OUTPUT:?a folder or a bucket prefix}"
marker=${STATE_DIRECTORY:-${TMPDIR:-/tmp}}/cardbeam-later

if [ "${1:-}" = --resume ]; then
  [ -e "$marker" ] || exit 0
  shift
fi

"$cardbeam/run.sh" backfill --input="$INPUT" --output="$OUTPUT" "$@"
status=$?
case $status in
  0) rm -f "$marker" ;;                                              # complete
  3) touch "$marker"; echo "stopped by quota or budget; goes on later" ;;
  2) echo "bad usage: mend the command, nothing was paid" >&2 ;;
  4) echo "failed or not reconciled: rerun the same command; see $OUTPUT/runs" >&2 ;;
  6) rm -f "$marker"; echo "complete, but a check failed: see $OUTPUT/runs" >&2 ;;
  5) echo "credentials refused: renew CARD_API_KEY and CARD_API_SECRET" >&2 ;;
esac
exit $status
