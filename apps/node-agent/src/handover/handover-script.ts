/**
 * Lives between two agents: starts the new one when the old one is gone, and the old one again when the new one does
 * not say within its time that it is at work. What the agents run goes on meanwhile under its shims.
 *
 * `run/handover` holds how far that is, in one word and the version: `starting 2`, then `ready 2` by the agent itself,
 * or `ended 2` where its process has ended first. What becomes of one that was at work is its keeper's business.
 */
export const handoverScript = `#!/bin/sh
# Alto handover. Usage: handover RECORD SECONDS NEW_VERSION NEW_MAIN OLD_VERSION OLD_MAIN COMMAND [ARGUMENT...]
record=$1 seconds=$2 new=$3 new_main=$4 old=$5 old_main=$6
shift 6

IFS= read -r word

echo "starting $new" >"$record"
(
  ALTO_SERVICE_VERSION=$new /bin/sh -c 'echo $$ >"$0.pid"; exec "$@"' "$record" "$@" "$new_main" </dev/null
  read -r state rest <"$record"
  [ "$state" = ready ] || echo "ended $new" >"$record"
) &
starter=$!

while [ "$seconds" -gt 0 ]; do
  command -p sleep 1
  read -r state rest <"$record"
  case $state in
    ready) kill -9 "$starter"; exit 0 ;;
    ended) break ;;
  esac
  seconds=$((seconds - 1))
done

kill -9 "$starter" 2>/dev/null
[ "$state" = ended ] || kill -9 "$(command -p cat "$record.pid")" 2>/dev/null
echo "failed $new" >"$record"
ALTO_SERVICE_VERSION=$old exec "$@" "$old_main" </dev/null
`;
