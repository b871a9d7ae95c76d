/**
 * Lives between two agents: starts the new one when the old one is gone, and the old one again when the new one does
 * not say within its time that it is at work. What the agents run goes on meanwhile under its shims.
 *
 * `run/handover` holds how far that is, in one word, the version and the script's process: `starting 2 77`, then
 * `ready 2 77` by the agent itself, or `ended 2 77` where its process has ended first. What becomes of one that was at
 * work is its keeper's business. A record of another script means that the next handover has begun: this one is over.
 */
export const handoverScript = `#!/bin/sh
# Alto handover. Usage: handover RECORD SECONDS NEW_VERSION NEW_MAIN OLD_VERSION OLD_MAIN COMMAND [ARGUMENT...]
record=$1 seconds=$2 new=$3 new_main=$4 old=$5 old_main=$6
shift 6

note() {
  echo "$1 $new $$" >"$record.$1" && command -p mv -f "$record.$1" "$record"
}

IFS= read -r word

# Without a record, on a full disk say, nobody could tell how it goes: then it does not begin.
note starting || ALTO_SERVICE_VERSION=$old exec "$@" "$old_main" </dev/null
(
  ALTO_SERVICE_VERSION=$new /bin/sh -c 'echo $$ >"$0.pid"; exec "$@"' "$record" "$@" "$new_main" </dev/null
  read -r state version script <"$record"
  [ "$state $script" != "starting $$" ] || note ended
) &
starter=$!

while [ "$seconds" -gt 0 ]; do
  command -p sleep 1
  read -r state version script <"$record"
  [ "$script" = "$$" ] || state=over
  case $state in
    ready | over) kill -9 "$starter"; exit 0 ;;
    ended) break ;;
  esac
  seconds=$((seconds - 1))
done

kill -9 "$starter" 2>/dev/null
[ "$state" = ended ] || kill -9 "$(command -p cat "$record.pid")" 2>/dev/null
note failed
ALTO_SERVICE_VERSION=$old exec "$@" "$old_main" </dev/null
`;
