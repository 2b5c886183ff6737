/** Schema tables of k8s.io/apimachinery: metadata, selectors, conditions. The notation is in schema-table.ts. */
export const metaTable = `
@ io.k8s.apimachinery.pkg.apis.meta.v1
ObjectMeta  ObjectMeta is metadata that all persisted resources must have.
  annotations map string  # Arbitrary non-identifying metadata.
  creationTimestamp time  # When the server created the object. Set by the system.
  deletionGracePeriodSeconds int64
  deletionTimestamp time  # When the object will be deleted. Set by the system.
  finalizers []string merge  # The object stays until this list is empty.
  generateName string  # Prefix of a name the server makes up when name is empty.
  generation int64  # Grows with every change of the desired state.
  labels map string  # Identifying metadata that selectors match.
  managedFields []ManagedFieldsEntry atomic  # Which manager set which fields.
  name string  # Unique within a namespace; cannot be changed.
  namespace string
  ownerReferences []OwnerReference merge=uid
  resourceVersion string  # Opaque version of the object.
  selfLink string
  uid string
ManagedFieldsEntry
  apiVersion string
  fieldsType string
  fieldsV1 any
  manager string
  operation string
  subresource string
  time time
OwnerReference (atomic)
  apiVersion string!
  blockOwnerDeletion bool
  controller bool
  kind string!
  name string!
  uid string!
LabelSelector (atomic)  A label query over a set of resources.
  matchExpressions []LabelSelectorRequirement atomic
  matchLabels map string
LabelSelectorRequirement
  key string!
  operator string!
  values []string atomic
DeleteOptions
  apiVersion string
  dryRun []string atomic
  gracePeriodSeconds int64
  kind string
  orphanDependents bool
  preconditions Preconditions
  propagationPolicy string
Preconditions
  resourceVersion string
  uid string
Condition
  lastTransitionTime time!
  message string!
  observedGeneration int64
  reason string!
  status string!
  type string!
`;
