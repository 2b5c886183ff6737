// Asks the code of a real API server about our CRDs: is each definition valid (structural schema, defaults, cost of its CEL
// rules), and can objects that fill every list be applied server-side, twice, and edited? Run by check-crds.sh.
//
// Arguments: the folder of the definitions, and a file of rounds of objects (JSON, see filled-objects.ts).
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

type filledObject struct {
	Crd    string                 `json:"crd"`
	Part   string                 `json:"part"`
	Object map[string]interface{} `json:"object"`
}

// One version of one kind, as an API server keeps it.
type kind struct {
	gvk        schema.GroupVersionKind
	structural *structuralschema.Structural
	validator  validation.SchemaValidator
	rules      *cel.Validator
	manager    *managedfields.FieldManager
}

var failures int

func fail(format string, args ...interface{}) {
	failures++
	fmt.Printf("FAIL "+format+"\n", args...)
}

// Custom resources have one version here: nothing is converted.
type sameVersion struct{}

func (sameVersion) Convert(in, out, context interface{}) error { return fmt.Errorf("not converted") }
func (sameVersion) ConvertToVersion(in runtime.Object, gv runtime.GroupVersioner) (runtime.Object, error) {
	return in, nil
}
func (sameVersion) ConvertFieldLabel(gvk schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}
func (sameVersion) Default(in runtime.Object) {}
func (sameVersion) New(gvk schema.GroupVersionKind) (runtime.Object, error) {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(gvk)
	return object, nil
}

func load(file string, scheme *runtime.Scheme) (string, *kind) {
	text, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	crd := &v1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(text, crd); err != nil {
		fail("%s: %v", file, err)
		return "", nil
	}
	scheme.Default(crd)
	internal := &apiextensions.CustomResourceDefinition{}
	if err := scheme.Convert(crd, internal, nil); err != nil {
		panic(err)
	}
	// Set by the server when it stores the definition.
	internal.Status.StoredVersions = []string{crd.Spec.Versions[0].Name}
	for _, problem := range crdvalidation.ValidateCustomResourceDefinition(context.TODO(), internal) {
		fail("%s: %v", crd.Name, problem)
	}
	version := crd.Spec.Versions[0]
	gvk := schema.GroupVersionKind{Group: crd.Spec.Group, Version: version.Name, Kind: crd.Spec.Names.Kind}
	openapi, err := builder.BuildOpenAPIV3(crd, version.Name, builder.Options{})
	if err != nil {
		panic(err)
	}
	converter, err := managedfields.NewTypeConverter(openapi.Components.Schemas, false)
	if err != nil {
		fail("%s: %v", crd.Name, err)
		return "", nil
	}
	manager, err := managedfields.NewDefaultCRDFieldManager(
		converter, sameVersion{}, sameVersion{}, sameVersion{}, gvk, gvk.GroupVersion(), "", nil)
	if err != nil {
		panic(err)
	}
	props := internal.Spec.Validation
	if props == nil {
		props = internal.Spec.Versions[0].Schema
	}
	structural, err := structuralschema.NewStructural(props.OpenAPIV3Schema)
	if err != nil {
		panic(err)
	}
	validator, _, err := validation.NewSchemaValidator(props.OpenAPIV3Schema)
	if err != nil {
		panic(err)
	}
	return crd.Name, &kind{gvk, structural, validator, cel.NewValidator(structural, true, celconfig.PerCallLimit), manager}
}

func (k *kind) validate(what string, object map[string]interface{}) {
	for _, problem := range validation.ValidateCustomResource(nil, object, k.validator) {
		fail("%s: %v", what, problem)
	}
	for _, problem := range listtype.ValidateListSetsAndMaps(nil, k.structural, object) {
		fail("%s: %v", what, problem)
	}
	if k.rules != nil {
		problems, _ := k.rules.Validate(context.TODO(), nil, k.structural, object, nil, celconfig.RuntimeCELCostBudget)
		for _, problem := range problems {
			fail("%s: %v", what, problem)
		}
	}
}

func (k *kind) apply(live runtime.Object, object map[string]interface{}, manager string) (runtime.Object, error) {
	return k.manager.Apply(live, &unstructured.Unstructured{Object: runtime.DeepCopyJSON(object)}, manager, false)
}

func try(k *kind, name string, round int, one, other filledObject) {
	what := fmt.Sprintf("%s %s round %d", name, one.Part, round+1)
	empty, _ := sameVersion{}.New(k.gvk)
	first, err := k.apply(empty, one.Object, "flux")
	if err != nil {
		fail("%s: first apply: %v", what, err)
		return
	}
	object := first.(*unstructured.Unstructured).Object
	defaulting.Default(object, k.structural)
	if one.Part == "spec" { // a status by itself lacks the spec that it is merged with
		k.validate(what, object)
	}
	second, err := k.apply(first, one.Object, "flux")
	if err != nil {
		fail("%s: second apply: %v", what, err)
		return
	}
	if a, b := fieldsOf(first), fieldsOf(second); a != b {
		fail("%s: a second apply changed who owns what:\n%s\n%s", what, a, b)
	}
	third, err := k.apply(second, other.Object, "flux")
	if err != nil {
		fail("%s: edit: %v", what, err)
		return
	}
	if got, want := partOf(third, one.Part), partOf(&unstructured.Unstructured{Object: other.Object}, one.Part); !within(want, got) {
		fail("%s: an edit did not take:\n%v\n%v", what, want, got)
	}
	fmt.Printf("ok   %s\n", what)
}

func partOf(object runtime.Object, part string) interface{} {
	return object.(*unstructured.Unstructured).Object[part]
}

// What was applied is in the result, which may have more members (defaults), never more items.
func within(want, got interface{}) bool {
	switch wanted := want.(type) {
	case map[string]interface{}:
		found, ok := got.(map[string]interface{})
		if !ok {
			return false
		}
		for name, member := range wanted {
			if !within(member, found[name]) {
				return false
			}
		}
		return true
	case []interface{}:
		found, ok := got.([]interface{})
		if !ok || len(found) != len(wanted) {
			return false
		}
		for i := range wanted {
			if !within(wanted[i], found[i]) {
				return false
			}
		}
		return true
	default:
		return fmt.Sprint(want) == fmt.Sprint(got)
	}
}

func fieldsOf(object runtime.Object) string {
	accessor, err := meta.Accessor(object)
	if err != nil {
		panic(err)
	}
	text := ""
	for _, entry := range accessor.GetManagedFields() {
		text += entry.Manager + " " + string(entry.FieldsV1.Raw) + "\n"
	}
	return text
}

func main() {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	files, _ := filepath.Glob(filepath.Join(os.Args[1], "*.yaml"))
	kinds := map[string]*kind{}
	for _, file := range files {
		if name, k := load(file, scheme); k != nil {
			kinds[name] = k
		}
	}
	text, err := os.ReadFile(os.Args[2])
	if err != nil {
		panic(err)
	}
	var seeds [2][][]filledObject
	if err := json.Unmarshal(text, &seeds); err != nil {
		panic(err)
	}
	for _, rounds := range seeds {
		for _, round := range rounds {
			for _, each := range round {
				each.Object["metadata"] = map[string]interface{}{"name": "default"}
				integers(each.Object)
			}
		}
	}
	for round, objects := range seeds[0] {
		for index, one := range objects {
			try(kinds[one.Crd], one.Crd, round, one, seeds[1][round][index])
		}
	}
	fmt.Printf("%d definitions, %d failures\n", len(files), failures)
	if failures > 0 {
		os.Exit(1)
	}
}

// encoding/json makes every number a float64; the API machinery wants int64.
func integers(value interface{}) interface{} {
	switch v := value.(type) {
	case map[string]interface{}:
		for name, member := range v {
			v[name] = integers(member)
		}
	case []interface{}:
		for i, member := range v {
			v[i] = integers(member)
		}
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
	}
	return value
}
