/** Schema tables of the core group but for the Pod. The notation is in schema-table.ts. */
export const coreTable = `
@ io.k8s.api.core.v1
LocalObjectReference (atomic)
  name string
ObjectReference (atomic)
  apiVersion string
  fieldPath string
  kind string
  name string
  namespace string
  resourceVersion string
  uid string
Node  A worker machine.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec NodeSpec
  status NodeStatus
NodeSpec
  configSource any
  externalID string
  podCIDR string
  podCIDRs []string merge
  providerID string
  taints []Taint atomic
  unschedulable bool
Taint
  effect string!
  key string!
  timeAdded time
  value string
NodeStatus
  addresses []NodeAddress merge=type
  allocatable map quantity
  capacity map quantity
  conditions []NodeCondition merge=type
  config any
  daemonEndpoints any
  features any
  images []ContainerImage atomic
  nodeInfo NodeSystemInfo
  phase string
  runtimeHandlers any
  volumesAttached any
  volumesInUse []string atomic
NodeAddress
  address string!
  type string!
NodeCondition
  lastHeartbeatTime time
  lastTransitionTime time
  message string
  reason string
  status string!
  type string!
ContainerImage
  names []string atomic
  sizeBytes int64
NodeSystemInfo
  architecture string
  bootID string
  containerRuntimeVersion string
  kernelVersion string
  kubeProxyVersion string
  kubeletVersion string
  machineID string
  operatingSystem string
  osImage string
  systemUUID string
Namespace  A scope for names.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec NamespaceSpec
  status NamespaceStatus
NamespaceSpec
  finalizers []string atomic
NamespaceStatus
  conditions []NamespaceCondition merge=type
  phase string
NamespaceCondition
  lastTransitionTime time
  message string
  reason string
  status string!
  type string!
Service  A named set of pods with a stable address.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec ServiceSpec
  status ServiceStatus
ServiceSpec
  allocateLoadBalancerNodePorts bool
  clusterIP string
  clusterIPs []string atomic
  externalIPs []string atomic
  externalName string
  externalTrafficPolicy string
  healthCheckNodePort int32
  internalTrafficPolicy string
  ipFamilies []string atomic
  ipFamilyPolicy string
  loadBalancerClass string
  loadBalancerIP string
  loadBalancerSourceRanges []string atomic
  ports []ServicePort merge=port keys=port,protocol
  publishNotReadyAddresses bool
  selector map string atomic
  sessionAffinity string =None
  sessionAffinityConfig any
  trafficDistribution string
  type string =ClusterIP {ClusterIP|NodePort|LoadBalancer|ExternalName}
ServicePort
  appProtocol string
  name string
  nodePort int32
  port int32! [1..65535]
  protocol string =TCP {TCP|UDP|SCTP}
  targetPort intOrString
ServiceStatus
  conditions []Condition merge=type
  loadBalancer LoadBalancerStatus ={}
LoadBalancerStatus
  ingress []LoadBalancerIngress atomic
LoadBalancerIngress
  hostname string
  ip string
  ipMode string
  ports any
Endpoints  The addresses behind a Service (replaced by EndpointSlice).
  apiVersion string
  kind string
  metadata ObjectMeta
  subsets []EndpointSubset atomic
EndpointSubset
  addresses []EndpointAddress atomic
  notReadyAddresses []EndpointAddress atomic
  ports []EndpointPort atomic
EndpointAddress (atomic)
  hostname string
  ip string!
  nodeName string
  targetRef ObjectReference
EndpointPort (atomic)
  appProtocol string
  name string
  port int32!
  protocol string =TCP
ServiceAccount  An identity for pods.
  apiVersion string
  automountServiceAccountToken bool
  imagePullSecrets []LocalObjectReference atomic
  kind string
  metadata ObjectMeta
  secrets []ObjectReference merge=name
Secret  Bytes by key, for what must not be shown.
  apiVersion string
  data map bytes
  immutable bool
  kind string
  metadata ObjectMeta
  stringData map string
  type string =Opaque
ConfigMap  Text or bytes by key.
  apiVersion string
  binaryData map bytes
  data map string
  immutable bool
  kind string
  metadata ObjectMeta
Event  A report of something that happened to an object.
  action string
  apiVersion string
  count int32
  eventTime microtime
  firstTimestamp time
  involvedObject ObjectReference!
  kind string
  lastTimestamp time
  message string
  metadata ObjectMeta!
  reason string
  related ObjectReference
  reportingComponent string
  reportingInstance string
  series EventSeries
  source EventSource
  type string
EventSeries
  count int32
  lastObservedTime microtime
EventSource
  component string
  host string
`;
