#!/bin/bash
# Kubernetes 1.37 (apiextensions-apiserver v0.37.2, structured-merge-diff v6.4.2), CustomResourceDefinitions: `x-kubernetes-list-type: set` over
# objects with `x-kubernetes-map-type: atomic` is a valid schema, and no server-side apply of an object that has such a list ever succeeds.
#
# Seen: ValidateCustomResourceDefinition finds nothing. `kubectl create`, `kubectl apply` and PUT work (duplicates are refused, as in any set; the
# object just gets no managedFields). Server-side apply answers 500: `failed to create typed patch object (...): .spec.ranges: element 0:
# associative list without keys has an element that's a map type`; once somebody stored such an object otherwise, even an apply that does not mention the
# list fails ("typed live object").
#
# Why a good guess is wrong: validation demands the atomic map type just there ("must be atomic as item of a list with
# x-kubernetes-list-type=set"), so one reads it as the supported form, and Calico's own definitions (BGPConfiguration's service ranges, communities) are
# written so. Everything works until Flux, Argo CD or a controller applies.
#
# What to do: `map` with the naming member as key (it must be required or have a default), or `atomic` where order means something. Test
# definitions with a server-side apply of objects that fill every list.
set -euo pipefail
VERSION=v0.37.2
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
cat > main.go <<'E'
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
)

func main() {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	listType, mapType := "set", "atomic"
	item := v1.JSONSchemaProps{Type: "object", XMapType: &mapType, Properties: map[string]v1.JSONSchemaProps{"cidr": {Type: "string"}}}
	list := v1.JSONSchemaProps{Type: "array", XListType: &listType, Items: &v1.JSONSchemaPropsOrArray{Schema: &item}}
	spec := v1.JSONSchemaProps{Type: "object", Properties: map[string]v1.JSONSchemaProps{"ranges": list}}
	crd := &v1.CustomResourceDefinition{}
	crd.Name = "gadgets.example.dev"
	crd.Spec = v1.CustomResourceDefinitionSpec{Group: "example.dev", Scope: "Cluster",
		Names: v1.CustomResourceDefinitionNames{Plural: "gadgets", Kind: "Gadget"},
		Versions: []v1.CustomResourceDefinitionVersion{{Name: "v1", Served: true, Storage: true,
			Schema: &v1.CustomResourceValidation{OpenAPIV3Schema: &v1.JSONSchemaProps{Type: "object",
				Properties: map[string]v1.JSONSchemaProps{"spec": spec}}}}}}
	scheme.Default(crd)
	internal := &apiextensions.CustomResourceDefinition{}
	if err := scheme.Convert(crd, internal, nil); err != nil {
		panic(err)
	}
	internal.Status.StoredVersions = []string{"v1"}
	problems := validation.ValidateCustomResourceDefinition(context.TODO(), internal)
	fmt.Println("problems of the definition:", len(problems), problems)
	openapi, err := builder.BuildOpenAPIV3(crd, "v1", builder.Options{})
	if err != nil {
		panic(err)
	}
	converter, err := managedfields.NewTypeConverter(openapi.Components.Schemas, false)
	if err != nil {
		panic(err)
	}
	object := &unstructured.Unstructured{Object: map[string]interface{}{"metadata": map[string]interface{}{"name": "g"},
		"spec": map[string]interface{}{"ranges": []interface{}{map[string]interface{}{"cidr": "10.0.0.0/8"}}}}}
	object.SetGroupVersionKind(schema.GroupVersionKind{Group: "example.dev", Version: "v1", Kind: "Gadget"})
	_, err = converter.ObjectToTyped(object)
	fmt.Println("typed for an apply:", err)
	if len(problems) > 0 || err == nil || !strings.Contains(err.Error(), "element that's a map type") {
		os.Exit(1)
	}
}
E
{ go mod init finding; go get "k8s.io/apiextensions-apiserver@$VERSION"; go mod tidy; } >/dev/null 2>&1
CGO_ENABLED=0 go run . && echo "as seen: a valid schema that no server-side apply gets through"
