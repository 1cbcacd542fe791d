#!/bin/sh
# pem.sh: makes ../pem with openssl and ssh-keygen, then ../pem/keys.json with the same keys as JWK and a token by each.
set -eu
cd "$(dirname "$0")"
make=$PWD
rm -rf ../pem && mkdir ../pem && cd ../pem
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

key() { name=$1; shift; openssl genpkey -out "$work/$name.pem" "$@" 2>/dev/null; }
spki() { openssl pkey -in "$work/$1.pem" -pubout -out "$1-spki.pem"; }
cert() { openssl req -x509 -new -key "$work/$1.pem" -subj "/CN=portcullis test $1" -days 36500 -out "$1-cert.pem"; }

key rsa -algorithm RSA -pkeyopt rsa_keygen_bits:2048
key p256 -algorithm EC -pkeyopt ec_paramgen_curve:P-256
key p384 -algorithm EC -pkeyopt ec_paramgen_curve:P-384
key p521 -algorithm EC -pkeyopt ec_paramgen_curve:P-521
key ed25519 -algorithm ED25519
key ed448 -algorithm ED448
key x25519 -algorithm X25519
key secp256k1 -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1
key rsa-pss -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048
key rsa1024 -algorithm RSA -pkeyopt rsa_keygen_bits:1024
for name in rsa p256 p384 p521 ed25519 ed448 x25519 secp256k1 rsa-pss rsa1024; do spki $name; done
for name in rsa p256 ed25519; do cert $name; cp "$work/$name.pem" $name-pkcs8-private.pem; done

openssl rsa -in "$work/rsa.pem" -RSAPublicKey_out -out rsa-pkcs1-public.pem 2>/dev/null
openssl rsa -in "$work/rsa.pem" -pubout -outform DER -out rsa-spki.der 2>/dev/null
openssl rsa -in "$work/rsa.pem" -traditional -out rsa-pkcs1-private.pem 2>/dev/null
openssl pkcs8 -topk8 -v2 aes-256-cbc -passout pass:test -in "$work/rsa.pem" -out rsa-pkcs8-encrypted-private.pem
openssl req -new -key "$work/rsa.pem" -subj "/CN=portcullis test rsa" -out rsa-csr.pem
openssl ec -in "$work/p256.pem" -out p256-sec1-private.pem 2>/dev/null

ssh-keygen -q -t ed25519 -N "" -C "portcullis test" -f "$work/ssh"
cp "$work/ssh" openssh-private.pem
cp "$work/ssh.pub" ssh-ed25519.pub
chmod 644 ./*
node "$make/pem_tokens.mjs" "$work"
