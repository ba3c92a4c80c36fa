#!/bin/sh
# Makes examples/hello.jar from examples/hello, if it is missing or older. Run by run-java.sh at set-up.
# A JDK is needed: the one in $JAVA_HOME, else the one on the PATH.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
jar=$here/hello.jar
source=$here/hello/Hello.java
if [ -e "$jar" ] && [ -z "$(find "$source" -newer "$jar")" ]; then
    exit 0
fi
bin=${JAVA_HOME:+$JAVA_HOME/bin/}
work=$(mktemp -d "$here/.build.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
"${bin}javac" --release 8 -Xlint:-options -d "$work" "$source"
"${bin}jar" --create --file "$work/hello.jar" --main-class Hello -C "$work" Hello.class
mv "$work/hello.jar" "$jar"
