#!/bin/bash
# kustomize (sigs.k8s.io/kustomize/api 0.21.1, as in kubectl 1.37 `kustomize` and `apply -k`) and go.yaml.in/yaml/v3 3.0.6: what becomes of folded
# text (`>`, `>-`) some lines of which are indented deeper.
#
# Seen, value of a ConfigMap's member `>` with the lines: one, two, (deeper) three, four
#   as kubectl apply -f reads it (sigs.k8s.io/yaml)    "one two\n  three\nfour\n", which is what YAML 1.2 (8.1.3) says
#   through kustomize, nothing to patch                "one two\n\n  three\nfour\n": another VALUE, with an empty line
#   through kustomize twice                            no more: the first pass makes it literal (`|`)
#   yaml.Node read and written once, twice, thrice     one, two, three empty lines: it grows at each pass
#   literal text (`|`), folded text without deeper lines   as it was
# Known to the library: yaml/go-yaml issue 337, open (3.0.4, 3.0.6 and gopkg.in/yaml.v3 alike); kustomize says nothing about it.
#
# Guess: kustomize hands on what it does not patch, so `apply -f FILE` and `apply -k` of a list with that one file give the same object.
#
# What to do: write scripts, configurations and expressions in manifests as literal text (`|`), never folded. Compare what kustomize builds with
# what the files say, as objects; and in one's own tools write through values, or set Style to literal before writing a yaml.Node.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > main.go <<'E'
package main

import (
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	kubectl "sigs.k8s.io/yaml"
)

const head = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  v: "

var texts = []struct{ name, text string }{
	{"folded, deeper line", ">\n    one\n    two\n      three\n    four\n"},
	{"folded, no deeper line", ">\n    one\n    two\n    three\n    four\n"},
	{"literal, deeper line", "|\n    one\n    two\n      three\n    four\n"},
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func value(manifest []byte) string {
	var object struct{ Data map[string]string }
	must(kubectl.Unmarshal(manifest, &object))
	out, err := json.Marshal(object.Data["v"])
	must(err)
	return string(out)
}

func kustomize(manifest []byte) []byte {
	files := filesys.MakeFsInMemory()
	must(files.WriteFile("a.yaml", manifest))
	must(files.WriteFile("kustomization.yaml", []byte("resources: [a.yaml]\n")))
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, ".")
	must(err)
	out, err := built.AsYaml()
	must(err)
	return out
}

func roundTrip(manifest []byte) []byte {
	var node yaml.Node
	must(yaml.Unmarshal(manifest, &node))
	out, err := yaml.Marshal(&node)
	must(err)
	return out
}

func main() {
	for _, t := range texts {
		manifest := []byte(head + t.text)
		fmt.Println(t.name)
		fmt.Println("  apply -f  ", value(manifest))
		once := kustomize(manifest)
		fmt.Println("  kustomize ", value(once), value(kustomize(once)))
		first := roundTrip(manifest)
		second := roundTrip(first)
		fmt.Println("  yaml.Node ", value(first), value(second), value(roundTrip(second)))
	}
}
E
(go mod init finding && go get sigs.k8s.io/kustomize/api@v0.21.1 sigs.k8s.io/kustomize/kyaml@v0.21.1 sigs.k8s.io/yaml@v1.6.0 go.yaml.in/yaml/v3@v3.0.6 &&
  go mod tidy && CGO_ENABLED=0 go build -o finding .) > log 2>&1 || { cat log; exit 2; }
./finding | tee seen
diff seen - <<'E' && echo 'as described'
folded, deeper line
  apply -f   "one two\n  three\nfour\n"
  kustomize  "one two\n\n  three\nfour\n" "one two\n\n  three\nfour\n"
  yaml.Node  "one two\n\n  three\nfour\n" "one two\n\n\n  three\nfour\n" "one two\n\n\n\n  three\nfour\n"
folded, no deeper line
  apply -f   "one two three four\n"
  kustomize  "one two three four\n" "one two three four\n"
  yaml.Node  "one two three four\n" "one two three four\n" "one two three four\n"
literal, deeper line
  apply -f   "one\ntwo\n  three\nfour\n"
  kustomize  "one\ntwo\n  three\nfour\n" "one\ntwo\n  three\nfour\n"
  yaml.Node  "one\ntwo\n  three\nfour\n" "one\ntwo\n  three\nfour\n" "one\ntwo\n  three\nfour\n"
E
