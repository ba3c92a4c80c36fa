# Sourced by the examples' run.sh: compiles what lies beside it and starts it in a machine with a published port.
#   PORT=8080      the port on this computer's loopback
#   OPTIONS="..."  further options of run-java.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/demitasse-examples/$(basename "$here")
bin=${JAVA_HOME:+$JAVA_HOME/bin/}
port=${PORT:-8080}
mkdir -p "$cache/classes"

# The dependencies that pom.xml names, once.
jars() {
    [ ! -e "$here/pom.xml" ] || [ "$cache/fetched" -nt "$here/pom.xml" ] || {
        echo "fetching the libraries of $(basename "$here") ..." >&2
        mvn --quiet --batch-mode --file "$here/pom.xml" "-DbuildDirectory=$cache/target" \
            dependency:copy-dependencies "-DoutputDirectory=$cache/jars" >&2
        touch "$cache/fetched"
    }
}

# start CLASS: everything after it goes to the program.
start() {
    jars
    "${bin}javac" -cp "$cache/jars/*" -d "$cache/classes" "$here"/*.java
    echo "http://localhost:$port/ answers as soon as the server says so; Ctrl-C ends it" >&2
    # shellcheck disable=SC2086 # words are meant to be split
    exec "$root/run-java.sh" --publish "$port:8080" ${OPTIONS-} -cp "$cache/classes:$cache/jars/*" "$@"
}
