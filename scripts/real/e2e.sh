#!/bin/bash
# e2e.sh [FOCUS [SKIP]]: Kubernetes' own end-to-end suite from the control plane's host; a line for each test. $RUN_NAME: its report and
# log, so that several run side by side (default: e2e).
. "$(dirname "$0")/env.sh"
focus=${1:-'Netpol.NetworkPolicy.between|Netpol.*UDP|Netpol.API'} skip=${2:-SCTPConnectivity}
[ -x "$BIN/e2e.test" ] || fail 'Cannot run the suite: expected `npm run real -- build-suite` before.'
report=$REAL/${RUN_NAME:-e2e} log=$LOGS/${RUN_NAME:-e2e}.log
rm -rf "$report"
mkdir -p "$report"
status=0
in_control "$BIN/e2e.test" --kubeconfig="$KUBECONFIG" --provider=skeleton --num-nodes=3 --report-dir="$report" \
  --ginkgo.focus="$focus" --ginkgo.skip="$skip" --ginkgo.no-color --ginkgo.v --ginkgo.timeout="${TIMEOUT:-90m}" \
  --allowed-not-ready-nodes=1 --dump-logs-on-failure=false --kubectl-path="$(command -v kubectl)" >"$log" 2>&1 || status=$?
# Reports of ginkgo have a test case a line, its outcome in `status`.
cat "$report"/junit*.xml | grep -oE '<testcase name="\[It\][^>]*' | sed -E 's/.*name="\[It\] ([^"]*)".* status="([a-z]*)".*/\2	\1/' |
  grep -v '^skipped' | tee "$report/results.tsv"
say "$(grep -c '^passed' "$report/results.tsv") of $(wc -l <"$report/results.tsv") passed; the log is $log"
exit "$status"
