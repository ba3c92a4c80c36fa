#!/bin/sh
# Starts TomcatServer on Demitasse and leads a port of this computer's loopback to it; see ../common.sh for PORT and OPTIONS.
. "$(dirname "$0")/../common.sh"
start TomcatServer "$@"
