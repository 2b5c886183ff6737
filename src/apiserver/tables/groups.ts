/** Schema tables of the named groups: networking, discovery, coordination, apps, policy, extensions. */
export const groupsTable = `
@ io.k8s.api.networking.v1
NetworkPolicy  What network traffic is allowed for a set of pods.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec NetworkPolicySpec
NetworkPolicySpec
  egress []NetworkPolicyEgressRule atomic  # Outgoing traffic that is allowed.
  ingress []NetworkPolicyIngressRule atomic  # Incoming traffic that is allowed.
  podSelector LabelSelector ={}  # The pods this policy applies to; empty selects all pods of the namespace.
  policyTypes []string atomic  # Ingress, Egress or both; default: Ingress, and Egress when there are egress rules.
NetworkPolicyIngressRule
  from []NetworkPolicyPeer atomic
  ports []NetworkPolicyPort atomic
NetworkPolicyEgressRule
  ports []NetworkPolicyPort atomic
  to []NetworkPolicyPeer atomic
NetworkPolicyPeer
  ipBlock IPBlock
  namespaceSelector LabelSelector
  podSelector LabelSelector
IPBlock
  cidr string!
  except []string atomic
NetworkPolicyPort
  endPort int32
  port intOrString
  protocol string =TCP
@ io.k8s.api.discovery.v1
EndpointSlice  A part of the endpoints of a Service.
  addressType string!
  apiVersion string
  endpoints []Endpoint! atomic
  kind string
  metadata ObjectMeta
  ports []DiscoveryPort atomic
Endpoint
  addresses []string! set
  conditions EndpointConditions
  deprecatedTopology map string
  hints any
  hostname string
  nodeName string
  targetRef ObjectReference
  zone string
EndpointConditions
  ready bool
  serving bool
  terminating bool
DiscoveryPort
  appProtocol string
  name string
  port int32
  protocol string
@ io.k8s.api.coordination.v1
Lease  A claim on something, renewed while it is held.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec LeaseSpec
LeaseSpec
  acquireTime microtime
  holderIdentity string
  leaseDurationSeconds int32
  leaseTransitions int32
  preferredHolder string
  renewTime microtime
  strategy string
@ io.k8s.api.events.v1
GroupEvent  A report of something that happened to an object.
  action string
  apiVersion string
  deprecatedCount int32
  deprecatedFirstTimestamp time
  deprecatedLastTimestamp time
  deprecatedSource EventSource
  eventTime microtime
  kind string
  metadata ObjectMeta
  note string
  reason string
  regarding ObjectReference
  related ObjectReference
  reportingController string
  reportingInstance string
  series EventSeries
  type string
@ io.k8s.api.apps.v1
Deployment
  apiVersion string
  kind string
  metadata ObjectMeta
  spec DeploymentSpec
  status WorkloadStatus
DeploymentSpec
  minReadySeconds int32
  paused bool
  progressDeadlineSeconds int32 =600
  replicas int32 =1
  revisionHistoryLimit int32 =10
  selector LabelSelector!
  strategy any retainKeys
  template PodTemplateSpec!
ReplicaSet
  apiVersion string
  kind string
  metadata ObjectMeta
  spec ReplicaSetSpec
  status WorkloadStatus
ReplicaSetSpec
  minReadySeconds int32
  replicas int32 =1
  selector LabelSelector!
  template PodTemplateSpec
DaemonSet
  apiVersion string
  kind string
  metadata ObjectMeta
  spec DaemonSetSpec
  status WorkloadStatus
DaemonSetSpec
  minReadySeconds int32
  revisionHistoryLimit int32 =10
  selector LabelSelector!
  template PodTemplateSpec!
  updateStrategy any
StatefulSet
  apiVersion string
  kind string
  metadata ObjectMeta
  spec StatefulSetSpec
  status WorkloadStatus
StatefulSetSpec
  minReadySeconds int32
  ordinals StatefulSetOrdinals
  persistentVolumeClaimRetentionPolicy any
  podManagementPolicy string =OrderedReady
  replicas int32 =1
  revisionHistoryLimit int32 =10
  selector LabelSelector!
  serviceName string
  template PodTemplateSpec!
  updateStrategy any
  volumeClaimTemplates any
StatefulSetOrdinals
  start int32
WorkloadStatus
  availableReplicas int32
  collisionCount int32
  conditions []WorkloadCondition merge=type
  currentNumberScheduled int32
  desiredNumberScheduled int32
  fullyLabeledReplicas int32
  numberAvailable int32
  numberMisscheduled int32
  numberReady int32
  numberUnavailable int32
  observedGeneration int64
  readyReplicas int32
  replicas int32
  terminatingReplicas int32
  unavailableReplicas int32
  updatedNumberScheduled int32
  updatedReplicas int32
WorkloadCondition
  lastTransitionTime time
  lastUpdateTime time
  message string
  reason string
  status string!
  type string!
@ io.k8s.api.rbac.v1
Role
  apiVersion string
  kind string
  metadata ObjectMeta
  rules []PolicyRule atomic
ClusterRole
  aggregationRule any
  apiVersion string
  kind string
  metadata ObjectMeta
  rules []PolicyRule atomic
PolicyRule
  apiGroups []string atomic
  nonResourceURLs []string atomic
  resourceNames []string atomic
  resources []string atomic
  verbs []string! atomic
RoleBinding
  apiVersion string
  kind string
  metadata ObjectMeta
  roleRef RoleRef!
  subjects []Subject atomic
ClusterRoleBinding
  apiVersion string
  kind string
  metadata ObjectMeta
  roleRef RoleRef!
  subjects []Subject atomic
RoleRef (atomic)
  apiGroup string!
  kind string!
  name string!
Subject (atomic)
  apiGroup string
  kind string!
  name string!
  namespace string
@ io.k8s.api.policy.v1
Eviction
  apiVersion string
  deleteOptions DeleteOptions
  kind string
  metadata ObjectMeta
@ io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1
CustomResourceDefinition  A kind that the server learns at run time.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec CustomResourceDefinitionSpec!
  status CustomResourceDefinitionStatus
CustomResourceDefinitionSpec
  conversion CustomResourceConversion
  group string!
  names CustomResourceDefinitionNames!
  preserveUnknownFields bool
  scope string! {Cluster|Namespaced}
  versions []CustomResourceDefinitionVersion! atomic
CustomResourceConversion
  strategy string! {None|Webhook}
  webhook any
CustomResourceDefinitionNames
  categories []string atomic
  kind string!
  listKind string
  plural string!
  shortNames []string atomic
  singular string
CustomResourceDefinitionVersion
  additionalPrinterColumns []CustomResourceColumnDefinition atomic
  deprecated bool
  deprecationWarning string
  name string!
  schema CustomResourceValidation
  selectableFields []SelectableField atomic
  served bool!
  storage bool!
  subresources CustomResourceSubresources
CustomResourceColumnDefinition
  description string
  format string
  jsonPath string!
  name string!
  priority int32
  type string!
CustomResourceValidation
  openAPIV3Schema JSONSchemaProps
SelectableField
  jsonPath string!
CustomResourceSubresources
  scale any
  status any
JSONSchemaProps
  $ref string
  $schema string
  additionalItems any
  additionalProperties any
  allOf []JSONSchemaProps atomic
  anyOf []JSONSchemaProps atomic
  default any
  definitions map JSONSchemaProps
  dependencies any
  description string
  enum []any atomic
  example any
  exclusiveMaximum bool
  exclusiveMinimum bool
  externalDocs any
  format string
  id string
  items any
  maxItems int64
  maxLength int64
  maxProperties int64
  maximum number
  minItems int64
  minLength int64
  minProperties int64
  minimum number
  multipleOf number
  not JSONSchemaProps
  nullable bool
  oneOf []JSONSchemaProps atomic
  pattern string
  patternProperties map JSONSchemaProps
  properties map JSONSchemaProps
  required []string atomic
  title string
  type string
  uniqueItems bool
  x-kubernetes-embedded-resource bool
  x-kubernetes-int-or-string bool
  x-kubernetes-list-map-keys []string atomic
  x-kubernetes-list-type string
  x-kubernetes-map-type string
  x-kubernetes-preserve-unknown-fields bool
  x-kubernetes-validations []ValidationRule keys=rule
ValidationRule
  fieldPath string
  message string
  messageExpression string
  optionalOldSelf bool
  reason string
  rule string!
CustomResourceDefinitionStatus
  acceptedNames CustomResourceDefinitionNames
  conditions []CustomResourceDefinitionCondition keys=type
  observedGeneration int64
  storedVersions []string atomic
CustomResourceDefinitionCondition
  lastTransitionTime time
  message string
  observedGeneration int64
  reason string
  status string!
  type string!
`;
