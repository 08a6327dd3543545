#!/bin/sh
# Verifies a request of rdev's webhooks with openssl and base64. The body comes on
# standard input, as the bytes that came over the wire:
#
#   WEBHOOK_SECRET=whsec_… ./verify.sh "$webhook_id" "$webhook_timestamp" "$webhook_signature" < body
#
# It ends with 0 where the request comes from whoever knows the secret and is as it was
# sent, else with 1. While it runs, the key is in the list of processes: this is for
# looking at a request on a machine of your own.
set -eu
set -f # nothing in a header is a pattern

id=${1-} timestamp=${2-} signatures=${3-}
tolerance=300 # seconds that a request's clock may be from ours

wrong() {
  echo "$1" >&2
  exit 1
}

key=$(printf %s "${WEBHOOK_SECRET#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \n')
[ -n "$key" ] || wrong "the secret is none"
[ -n "$id" ] || wrong "webhook-id is missing"
case $timestamp in
'' | 0* | *[!0-9]* | ?????????????*) wrong "webhook-timestamp is missing" ;;
esac
age=$(($(date +%s) - timestamp))
[ "$age" -le "$tolerance" ] && [ "$age" -ge "-$tolerance" ] || wrong "the request is too old, or a clock is wrong"

want=$({ printf '%s.%s.' "$id" "$timestamp" && cat; } | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64)

# What is compared are hashes with a random number, so that how long it takes tells
# nothing about the signature.
nonce=$(openssl rand -hex 32)
blind() { printf '%s%s' "$nonce" "$1" | openssl dgst -sha256 -r; }

# While a secret is rotated there are two signatures; ours may be either.
for signature in $signatures; do
  case $signature in
  v1,*) [ "$(blind "${signature#v1,}")" != "$(blind "$want")" ] || exit 0 ;;
  esac
done
wrong "no signature is right"
