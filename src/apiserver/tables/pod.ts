/** Schema tables of the Pod: containers, probes, scheduling, status; volumes are in volumes.ts. The notation is in schema-table.ts. */
export const podTable = `
@ io.k8s.api.core.v1
PodSpec  Description of a pod: its containers, where they run and on which network.
  activeDeadlineSeconds int64
  affinity Affinity
  automountServiceAccountToken bool
  containers []Container! merge=name  # Containers of the pod; at least one.
  dnsConfig PodDNSConfig
  dnsPolicy string =ClusterFirst
  enableServiceLinks bool =true
  ephemeralContainers []Container merge=name
  hostAliases []HostAlias merge=ip
  hostIPC bool
  hostNetwork bool  # Use the host's network namespace; no policy applies.
  hostPID bool
  hostUsers bool
  hostname string
  imagePullSecrets []LocalObjectReference merge=name
  initContainers []Container merge=name
  nodeName string  # The node that runs the pod; set by the scheduler or by hand.
  nodeSelector map string atomic  # Labels a node must have.
  os PodOS
  overhead map quantity
  preemptionPolicy string
  priority int32
  priorityClassName string
  readinessGates []PodReadinessGate atomic
  resourceClaims []PodResourceClaim merge=name retainKeys
  resources ResourceRequirements
  restartPolicy string =Always {Always|OnFailure|Never}
  runtimeClassName string
  schedulerName string =default-scheduler
  schedulingGates []PodSchedulingGate merge=name
  securityContext PodSecurityContext ={}
  serviceAccount string
  serviceAccountName string
  setHostnameAsFQDN bool
  shareProcessNamespace bool
  subdomain string
  terminationGracePeriodSeconds int64 =30
  tolerations []Toleration atomic
  topologySpreadConstraints []TopologySpreadConstraint merge=topologyKey keys=topologyKey,whenUnsatisfiable
  volumes []Volume merge=name retainKeys
PodOS
  name string!
PodReadinessGate
  conditionType string!
PodSchedulingGate
  name string!
PodResourceClaim
  name string!
  resourceClaimName string
  resourceClaimTemplateName string
PodDNSConfig
  nameservers []string atomic
  options []PodDNSConfigOption atomic
  searches []string atomic
PodDNSConfigOption
  name string
  value string
HostAlias
  hostnames []string atomic
  ip string!
Container  A single application container of a pod.
  args []string atomic
  command []string atomic
  env []EnvVar merge=name
  envFrom []EnvFromSource atomic
  image string
  imagePullPolicy string {Always|IfNotPresent|Never}
  lifecycle Lifecycle
  livenessProbe Probe
  name string!
  ports []ContainerPort merge=containerPort keys=containerPort,protocol  # Ports the container listens on; policies use their names.
  readinessProbe Probe
  resizePolicy []ContainerResizePolicy atomic
  resources ResourceRequirements ={}
  restartPolicy string  # Always makes an init container a sidecar.
  securityContext SecurityContext
  startupProbe Probe
  stdin bool
  stdinOnce bool
  terminationMessagePath string =/dev/termination-log
  terminationMessagePolicy string =File
  tty bool
  volumeDevices []VolumeDevice merge=devicePath
  volumeMounts []VolumeMount merge=mountPath
  workingDir string
ContainerResizePolicy
  resourceName string!
  restartPolicy string!
ContainerPort  A network port of a container.
  containerPort int32! [1..65535]
  hostIP string
  hostPort int32 [0..65535]
  name string
  protocol string =TCP {TCP|UDP|SCTP}
EnvVar
  name string!
  value string
  valueFrom EnvVarSource
EnvVarSource
  configMapKeyRef ConfigMapKeySelector
  fieldRef ObjectFieldSelector
  resourceFieldRef ResourceFieldSelector
  secretKeyRef SecretKeySelector
EnvFromSource
  configMapRef OptionalReference
  prefix string
  secretRef OptionalReference
OptionalReference
  name string
  optional bool
ConfigMapKeySelector (atomic)
  key string!
  name string
  optional bool
SecretKeySelector (atomic)
  key string!
  name string
  optional bool
ObjectFieldSelector (atomic)
  apiVersion string =v1
  fieldPath string!
ResourceFieldSelector (atomic)
  containerName string
  divisor quantity
  resource string!
ResourceRequirements
  claims []ResourceClaim keys=name
  limits map quantity
  requests map quantity
ResourceClaim
  name string!
  request string
Lifecycle
  postStart LifecycleHandler
  preStop LifecycleHandler
LifecycleHandler
  exec ExecAction
  httpGet HTTPGetAction
  sleep SleepAction
  tcpSocket TCPSocketAction
SleepAction
  seconds int64!
ExecAction
  command []string atomic
HTTPGetAction
  host string
  httpHeaders []HTTPHeader atomic
  path string
  port intOrString!
  scheme string =HTTP
HTTPHeader
  name string!
  value string!
TCPSocketAction
  host string
  port intOrString!
GRPCAction
  port int32!
  service string
Probe
  exec ExecAction
  failureThreshold int32 =3
  grpc GRPCAction
  httpGet HTTPGetAction
  initialDelaySeconds int32
  periodSeconds int32 =10
  successThreshold int32 =1
  tcpSocket TCPSocketAction
  terminationGracePeriodSeconds int64
  timeoutSeconds int32 =1
SecurityContext
  allowPrivilegeEscalation bool
  appArmorProfile AppArmorProfile
  capabilities Capabilities
  privileged bool
  procMount string
  readOnlyRootFilesystem bool
  runAsGroup int64
  runAsNonRoot bool
  runAsUser int64
  seLinuxOptions SELinuxOptions
  seccompProfile SeccompProfile
  windowsOptions WindowsSecurityContextOptions
AppArmorProfile
  localhostProfile string
  type string!
Capabilities
  add []string atomic
  drop []string atomic
SELinuxOptions
  level string
  role string
  type string
  user string
SeccompProfile
  localhostProfile string
  type string!
WindowsSecurityContextOptions
  gmsaCredentialSpec string
  gmsaCredentialSpecName string
  hostProcess bool
  runAsUserName string
PodSecurityContext
  appArmorProfile AppArmorProfile
  fsGroup int64
  fsGroupChangePolicy string
  runAsGroup int64
  runAsNonRoot bool
  runAsUser int64
  seLinuxChangePolicy string
  seLinuxOptions SELinuxOptions
  seccompProfile SeccompProfile
  supplementalGroups []int64 atomic
  supplementalGroupsPolicy string
  sysctls []Sysctl atomic
  windowsOptions WindowsSecurityContextOptions
Sysctl
  name string!
  value string!
VolumeDevice
  devicePath string!
  name string!
VolumeMount
  mountPath string!
  mountPropagation string
  name string!
  readOnly bool
  recursiveReadOnly string
  subPath string
  subPathExpr string
Toleration
  effect string
  key string
  operator string
  tolerationSeconds int64
  value string
TopologySpreadConstraint
  labelSelector LabelSelector
  matchLabelKeys []string atomic
  maxSkew int32!
  minDomains int32
  nodeAffinityPolicy string
  nodeTaintsPolicy string
  topologyKey string!
  whenUnsatisfiable string!
Affinity
  nodeAffinity NodeAffinity
  podAffinity PodAffinity
  podAntiAffinity PodAffinity
NodeAffinity
  preferredDuringSchedulingIgnoredDuringExecution []PreferredSchedulingTerm atomic
  requiredDuringSchedulingIgnoredDuringExecution NodeSelector
PreferredSchedulingTerm
  preference NodeSelectorTerm!
  weight int32!
NodeSelector (atomic)
  nodeSelectorTerms []NodeSelectorTerm! atomic
NodeSelectorTerm (atomic)
  matchExpressions []NodeSelectorRequirement atomic
  matchFields []NodeSelectorRequirement atomic
NodeSelectorRequirement
  key string!
  operator string!
  values []string atomic
PodAffinity
  preferredDuringSchedulingIgnoredDuringExecution []WeightedPodAffinityTerm atomic
  requiredDuringSchedulingIgnoredDuringExecution []PodAffinityTerm atomic
WeightedPodAffinityTerm
  podAffinityTerm PodAffinityTerm!
  weight int32!
PodAffinityTerm
  labelSelector LabelSelector
  matchLabelKeys []string atomic
  mismatchLabelKeys []string atomic
  namespaceSelector LabelSelector
  namespaces []string atomic
  topologyKey string!
PodStatus  What is known about the pod's state; reported by its node.
  conditions []PodCondition merge=type
  containerStatuses []ContainerStatus atomic
  ephemeralContainerStatuses []ContainerStatus atomic
  hostIP string
  hostIPs []HostIP merge=ip atomic
  initContainerStatuses []ContainerStatus atomic
  message string
  nominatedNodeName string
  observedGeneration int64
  phase string
  podIP string
  podIPs []PodIP merge=ip
  qosClass string
  reason string
  resize string
  resourceClaimStatuses any
  startTime time
PodIP
  ip string!
HostIP
  ip string!
PodCondition
  lastProbeTime time
  lastTransitionTime time
  message string
  observedGeneration int64
  reason string
  status string!
  type string!
ContainerStatus
  allocatedResources map quantity
  allocatedResourcesStatus any
  containerID string
  image string!
  imageID string!
  lastState ContainerState
  name string!
  ready bool!
  resources ResourceRequirements
  restartCount int32!
  started bool
  state ContainerState
  user any
  volumeMounts []VolumeMount merge=mountPath
ContainerState
  running ContainerStateRunning
  terminated ContainerStateTerminated
  waiting ContainerStateWaiting
ContainerStateRunning
  startedAt time
ContainerStateTerminated
  containerID string
  exitCode int32!
  finishedAt time
  message string
  reason string
  signal int32
  startedAt time
ContainerStateWaiting
  message string
  reason string
Pod  A group of containers that run together on one node with one address per family.
  apiVersion string
  kind string
  metadata ObjectMeta
  spec PodSpec
  status PodStatus
PodTemplateSpec
  metadata ObjectMeta
  spec PodSpec
Binding
  apiVersion string
  kind string
  metadata ObjectMeta
  target ObjectReference!
`;
