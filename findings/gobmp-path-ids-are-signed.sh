#!/bin/bash
# gobmp 1.1.0 (its Go module: parser and message producer): path identifiers from 2^31 on, IPv4-mapped next hops, and whose router_ip a message has.
#
# Seen, one monitored router with two sessions, Peer Up of the first (local address 192.0.2.1), of the second (198.51.100.1), then a route of the
# FIRST with identifier 3276449660 (OpenBGPD gives such), and an IPv6 route of it whose next hop is ::ffff:192.0.2.2 (GoBGP sends such)
#   path_id           -1018517636
#   nexthop           192.0.2.2, is_nexthop_ipv4 false
#   router_ip         198.51.100.1: the local address of whichever session came up last, for routes of every session
#
# Why a good guess is wrong: an identifier is four octets without a sign (RFC 7911), other readers print it so, and a consumer that declares the field
# unsigned fails on the message instead. router_ip reads like "the address of the router" or "its end of this session"; it is neither, and the same
# route gets another one when an unrelated session flaps, so that a table keyed by router_ip and prefix holds it twice.
#
# What to do: take path_id modulo 2^32, key by router_hash's input or the connection and never by router_ip, and judge a next hop by its text.
set -euo pipefail
dir=$(mktemp -d); trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
cat > main.go <<'E'
package main

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"time"

	"github.com/sbezverk/gobmp/pkg/bmp"
	"github.com/sbezverk/gobmp/pkg/message"
	"github.com/sbezverk/gobmp/pkg/parser"
)

type printer struct{}

func (printer) Stop() {}
func (printer) PublishMessage(kind int, _ []byte, text []byte) error {
	if kind == bmp.UnicastPrefixMsg || kind == bmp.UnicastPrefixV4Msg || kind == bmp.UnicastPrefixV6Msg {
		var m map[string]any
		d := json.NewDecoder(bytesReader(text))
		d.UseNumber()
		d.Decode(&m)
		fmt.Println(m["prefix"], "path id", m["path_id"], "next hop", m["nexthop"], m["is_nexthop_ipv4"], "peer", m["peer_ip"], "router", m["router_ip"])
	}
	return nil
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return
}
func number(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
func v4(text string) []byte  { return net.ParseIP(text).To4() }
func bgp(kind byte, body []byte) []byte {
	head := make([]byte, 16)
	for i := range head {
		head[i] = 255
	}
	return join(binary.BigEndian.AppendUint16(head, uint16(19+len(body))), []byte{kind}, body)
}
func opening(as, id byte) []byte {
	caps := []byte{1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 65, 4, 0, 0, 253, as, 69, 4, 0, 1, 1, 3}
	return bgp(1, join([]byte{4, 253, as, 0, 90, 192, 0, 2, id, byte(2 + len(caps)), 2, byte(len(caps))}, caps))
}
func monitor(kind byte, peer string, body []byte) []byte {
	head := join([]byte{0, 0}, make([]byte, 8), make([]byte, 12), v4(peer), []byte{0, 0, 253, 234}, v4(peer), number(1796073969), number(0))
	return join([]byte{3}, number(uint32(6+len(head)+len(body))), []byte{kind}, head, body)
}
func up(peer, local string) []byte {
	return monitor(3, peer, join(make([]byte, 12), v4(local), []byte{0, 179, 200, 0}, opening(233, 1), opening(234, 2)))
}
func update(attributes, nlri []byte) []byte {
	return bgp(2, join([]byte{0, 0, byte(len(attributes) >> 8), byte(len(attributes))}, attributes, nlri))
}

func main() {
	flag.Parse()
	raw, messages, stop := make(chan []byte), make(chan bmp.Message), make(chan struct{})
	go message.NewProducer(printer{}, false).Producer(messages, stop)
	go parser.Parser(raw, messages, stop)
	send := func(b []byte) { raw <- b; time.Sleep(500 * time.Millisecond) }
	path := []byte{0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 253, 234}
	four := monitor(0, "192.0.2.2", update(join(path, []byte{0x40, 3, 4, 192, 0, 2, 2}), join(number(3276449660), []byte{24, 203, 0, 113})))
	mapped := join(make([]byte, 10), []byte{255, 255, 192, 0, 2, 2})
	reach := join([]byte{0, 2, 1, 16}, mapped, []byte{0, 48, 0x20, 1, 0x0d, 0xb8, 0, 5})
	six := monitor(0, "192.0.2.2", update(join(path, []byte{0x80, 14, byte(len(reach))}, reach), nil))
	send(up("192.0.2.2", "192.0.2.1"))
	send(four)
	send(up("198.51.100.2", "198.51.100.1"))
	send(four)
	send(six)
}
E
cat > reader.go <<'E'
package main

import "bytes"

func bytesReader(b []byte) *bytes.Reader { return bytes.NewReader(b) }
E
export GOFLAGS=-mod=mod GOMODCACHE=$dir/mod GOCACHE=$dir/cache
{ go mod init finding && go get github.com/sbezverk/gobmp@v1.1.0 && go build -o run . ; } > build.log 2>&1 || { cat build.log; exit 2; }
./run 2> /dev/null | tee seen
diff seen - <<'E' && echo "as described"
203.0.113.0 path id -1018517636 next hop 192.0.2.2 true peer 192.0.2.2 router 192.0.2.1
203.0.113.0 path id -1018517636 next hop 192.0.2.2 true peer 192.0.2.2 router 198.51.100.1
2001:db8:5:: path id <nil> next hop 192.0.2.2 false peer 192.0.2.2 router 198.51.100.1
E
