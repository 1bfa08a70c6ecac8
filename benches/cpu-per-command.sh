#!/usr/bin/env bash
# CPU time per request of the everyday commands of every type, 16 pipelined, `node` beside redis-server in one run.
#
#   cargo build --release && benches/cpu-per-command.sh [RUNS [CASE...]]
source "$(dirname "$0")/side-by-side.sh"
runs=${1:-5}
shift || true
only=" $* "
start
one() {
    local name=$1
    shift
    [ "$only" = "  " ] || [[ "$only" == *" $name "* ]] || return 0
    measure "$runs" "$name" 1000000 -P 16 -r 100000 "$@"
}
value=$(printf 'v%.0s' {1..16})
{
    one incr INCR counter:__rand_int__
    one mset10 MSET $(for i in 0 1 2 3 4 5 6 7 8 9; do echo "key:$i:__rand_int__ $value"; done)
    one lpush LPUSH list "$value"
    one rpop RPOP list
    one hset HSET hash:__rand_int__ field "$value"
    one hget HGET hash:__rand_int__ field
    one sadd SADD set __rand_int__
    one sismember SISMEMBER set __rand_int__
    one zadd ZADD zset __rand_int__ member:__rand_int__
    one zrange ZRANGE zset 0 9
    one xadd XADD stream '*' field "$value"
    one xrange XRANGE stream - + COUNT 10
} | table
