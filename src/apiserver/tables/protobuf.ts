/**
 * Protobuf field numbers of built-in kinds (the generated.proto files of k8s.io/api and k8s.io/apimachinery v0.32): a definition, then
 * `field=number`. `1.2` is field 2 of a message in field 1 whose members JSON shows inline. `*` marks a scalar that is a pointer in
 * Go: its zero is a value, where every other zero means absent.
 */
export const protobufTable = `
ObjectMeta annotations=12 creationTimestamp=8 deletionGracePeriodSeconds=10* deletionTimestamp=9* finalizers=14 generateName=2
  generation=7 labels=11 managedFields=17 name=1 namespace=3 ownerReferences=13 resourceVersion=6 selfLink=4 uid=5
ManagedFieldsEntry apiVersion=3 fieldsType=6 manager=1 operation=2 subresource=8 time=4*
OwnerReference apiVersion=5 blockOwnerDeletion=7* controller=6* kind=1 name=3 uid=4
LabelSelector matchExpressions=2 matchLabels=1
LabelSelectorRequirement key=1 operator=2 values=3
DeleteOptions dryRun=5 gracePeriodSeconds=1* orphanDependents=3* preconditions=2 propagationPolicy=4*
Preconditions resourceVersion=2* uid=1*
Condition lastTransitionTime=4 message=6 observedGeneration=3 reason=5 status=2 type=1
PodSpec activeDeadlineSeconds=5* affinity=18 automountServiceAccountToken=21* containers=2 dnsConfig=26 dnsPolicy=6 enableServiceLinks=30*
  ephemeralContainers=34 hostAliases=23 hostIPC=13 hostNetwork=11 hostPID=12 hostUsers=37* hostname=16 imagePullSecrets=15
  initContainers=20 nodeName=10 nodeSelector=7 os=36 overhead=32 preemptionPolicy=31* priority=25* priorityClassName=24 readinessGates=28
  resourceClaims=39 resources=40 restartPolicy=3 runtimeClassName=29* schedulerName=19 schedulingGates=38 securityContext=14
  serviceAccount=9 serviceAccountName=8 setHostnameAsFQDN=35* shareProcessNamespace=27* subdomain=17 terminationGracePeriodSeconds=4*
  tolerations=22 topologySpreadConstraints=33 volumes=1
PodOS name=1
PodReadinessGate conditionType=1
PodSchedulingGate name=1
PodResourceClaim name=1 resourceClaimName=3* resourceClaimTemplateName=4*
PodDNSConfig nameservers=1 options=3 searches=2
PodDNSConfigOption name=1 value=2*
HostAlias hostnames=2 ip=1
Container args=4 command=3 env=7 envFrom=19 image=2 imagePullPolicy=14 lifecycle=12 livenessProbe=10 name=1 ports=6 readinessProbe=11
  resizePolicy=23 resources=8 restartPolicy=24* securityContext=15 startupProbe=22 stdin=16 stdinOnce=17 terminationMessagePath=13
  terminationMessagePolicy=20 tty=18 volumeDevices=21 volumeMounts=9 workingDir=5
ContainerResizePolicy resourceName=1 restartPolicy=2
ContainerPort containerPort=3 hostIP=5 hostPort=2 name=1 protocol=4
EnvVar name=1 value=2 valueFrom=3
EnvVarSource configMapKeyRef=3 fieldRef=1 resourceFieldRef=2 secretKeyRef=4
EnvFromSource configMapRef=2 prefix=1 secretRef=3
OptionalReference name=1.1 optional=2*
ConfigMapKeySelector key=2 name=1.1 optional=3*
SecretKeySelector key=2 name=1.1 optional=3*
ObjectFieldSelector apiVersion=1 fieldPath=2
ResourceFieldSelector containerName=1 divisor=3 resource=2
ResourceRequirements claims=3 limits=1 requests=2
ResourceClaim name=1 request=2
Lifecycle postStart=1 preStop=2
LifecycleHandler exec=1 httpGet=2 sleep=4 tcpSocket=3
SleepAction seconds=1
ExecAction command=1
HTTPGetAction host=3 httpHeaders=5 path=1 port=2 scheme=4
HTTPHeader name=1 value=2
TCPSocketAction host=2 port=1
GRPCAction port=1 service=2*
Probe exec=1.1 failureThreshold=6 grpc=1.4 httpGet=1.2 initialDelaySeconds=2 periodSeconds=4 successThreshold=5 tcpSocket=1.3
  terminationGracePeriodSeconds=7* timeoutSeconds=3
SecurityContext allowPrivilegeEscalation=7* appArmorProfile=12 capabilities=1 privileged=2* procMount=9* readOnlyRootFilesystem=6*
  runAsGroup=8* runAsNonRoot=5* runAsUser=4* seLinuxOptions=3 seccompProfile=11 windowsOptions=10
AppArmorProfile localhostProfile=2* type=1
Capabilities add=1 drop=2
SELinuxOptions level=4 role=2 type=3 user=1
SeccompProfile localhostProfile=2* type=1
WindowsSecurityContextOptions gmsaCredentialSpec=2* gmsaCredentialSpecName=1* hostProcess=4* runAsUserName=3*
PodSecurityContext appArmorProfile=11 fsGroup=5* fsGroupChangePolicy=9* runAsGroup=6* runAsNonRoot=3* runAsUser=2* seLinuxChangePolicy=13*
  seLinuxOptions=1 seccompProfile=10 supplementalGroups=4 supplementalGroupsPolicy=12* sysctls=7 windowsOptions=8
Sysctl name=1 value=2
VolumeDevice devicePath=2 name=1
VolumeMount mountPath=3 mountPropagation=5* name=1 readOnly=2 recursiveReadOnly=7* subPath=4 subPathExpr=6
Toleration effect=4 key=1 operator=2 tolerationSeconds=5* value=3
TopologySpreadConstraint labelSelector=4 matchLabelKeys=8 maxSkew=1 minDomains=5* nodeAffinityPolicy=6* nodeTaintsPolicy=7* topologyKey=2
  whenUnsatisfiable=3
Affinity nodeAffinity=1 podAffinity=2 podAntiAffinity=3
NodeAffinity preferredDuringSchedulingIgnoredDuringExecution=2 requiredDuringSchedulingIgnoredDuringExecution=1
PreferredSchedulingTerm preference=2 weight=1
NodeSelector nodeSelectorTerms=1
NodeSelectorTerm matchExpressions=1 matchFields=2
NodeSelectorRequirement key=1 operator=2 values=3
PodAffinity preferredDuringSchedulingIgnoredDuringExecution=2 requiredDuringSchedulingIgnoredDuringExecution=1
WeightedPodAffinityTerm podAffinityTerm=2 weight=1
PodAffinityTerm labelSelector=1 matchLabelKeys=5 mismatchLabelKeys=6 namespaceSelector=4 namespaces=2 topologyKey=3
Volume configMap=2.19 csi=2.28 downwardAPI=2.16 emptyDir=2.2 hostPath=2.1 image=2.30 name=1 nfs=2.7 persistentVolumeClaim=2.10
  projected=2.26 secret=2.6
ConfigMapVolumeSource defaultMode=3* items=2 name=1.1 optional=4*
KeyToPath key=1 mode=3* path=2
CSIVolumeSource driver=1 fsType=3* nodePublishSecretRef=5 readOnly=2* volumeAttributes=4
DownwardAPIVolumeSource defaultMode=2* items=1
DownwardAPIVolumeFile fieldRef=2 mode=4* path=1 resourceFieldRef=3
EmptyDirVolumeSource medium=1 sizeLimit=2
HostPathVolumeSource path=1 type=2*
ImageVolumeSource pullPolicy=2 reference=1
NFSVolumeSource path=2 readOnly=3 server=1
PersistentVolumeClaimVolumeSource claimName=1 readOnly=2
ProjectedVolumeSource defaultMode=2* sources=1
VolumeProjection configMap=3 downwardAPI=2 secret=1 serviceAccountToken=4
ServiceAccountTokenProjection audience=1 expirationSeconds=2* path=3
SecretVolumeSource defaultMode=3* items=2 optional=4* secretName=1
PodStatus conditions=2 containerStatuses=8 ephemeralContainerStatuses=13 hostIP=5 hostIPs=16 initContainerStatuses=10 message=3
  nominatedNodeName=11 phase=1 podIP=6 podIPs=12 qosClass=9 reason=4 resize=14 startTime=7*
PodIP ip=1
HostIP ip=1
PodCondition lastProbeTime=3 lastTransitionTime=4 message=6 reason=5 status=2 type=1
ContainerStatus allocatedResources=10 containerID=8 image=6 imageID=7 lastState=3 name=1 ready=4 resources=11 restartCount=5 started=9*
  state=2 volumeMounts=12
ContainerState running=2 terminated=3 waiting=1
ContainerStateRunning startedAt=1
ContainerStateTerminated containerID=7 exitCode=1 finishedAt=6 message=4 reason=3 signal=2 startedAt=5
ContainerStateWaiting message=2 reason=1
Pod metadata=1 spec=2 status=3
PodTemplateSpec metadata=1 spec=2
Binding metadata=1 target=2
LocalObjectReference name=1
ObjectReference apiVersion=5 fieldPath=7 kind=1 name=3 namespace=2 resourceVersion=6 uid=4
Node metadata=1 spec=2 status=3
NodeSpec externalID=2 podCIDR=1 podCIDRs=7 providerID=3 taints=5 unschedulable=4
Taint effect=3 key=1 timeAdded=4* value=2
NodeStatus addresses=5 allocatable=2 capacity=1 conditions=4 images=8 nodeInfo=7 phase=3 volumesInUse=9
NodeAddress address=2 type=1
NodeCondition lastHeartbeatTime=3 lastTransitionTime=4 message=6 reason=5 status=2 type=1
ContainerImage names=1 sizeBytes=2
NodeSystemInfo architecture=10 bootID=3 containerRuntimeVersion=6 kernelVersion=4 kubeProxyVersion=8 kubeletVersion=7 machineID=1
  operatingSystem=9 osImage=5 systemUUID=2
Namespace metadata=1 spec=2 status=3
NamespaceSpec finalizers=1
NamespaceStatus conditions=2 phase=1
NamespaceCondition lastTransitionTime=4 message=6 reason=5 status=2 type=1
Service metadata=1 spec=2 status=3
ServiceSpec allocateLoadBalancerNodePorts=20* clusterIP=3 clusterIPs=18 externalIPs=5 externalName=10 externalTrafficPolicy=11
  healthCheckNodePort=12 internalTrafficPolicy=22* ipFamilies=19 ipFamilyPolicy=17* loadBalancerClass=21* loadBalancerIP=8
  loadBalancerSourceRanges=9 ports=1 publishNotReadyAddresses=13 selector=2 sessionAffinity=7 trafficDistribution=23* type=4
ServicePort appProtocol=6* name=1 nodePort=5 port=3 protocol=2 targetPort=4
ServiceStatus conditions=2 loadBalancer=1
LoadBalancerStatus ingress=1
LoadBalancerIngress hostname=2 ip=1 ipMode=3*
Endpoints metadata=1 subsets=2
EndpointSubset addresses=1 notReadyAddresses=2 ports=3
EndpointAddress hostname=3 ip=1 nodeName=4* targetRef=2
EndpointPort appProtocol=4* name=1 port=2 protocol=3
ServiceAccount automountServiceAccountToken=4* imagePullSecrets=3 metadata=1 secrets=2
Secret data=2 immutable=5* metadata=1 stringData=4 type=3
ConfigMap binaryData=3 data=2 immutable=4* metadata=1
Event action=12 count=8 eventTime=10 firstTimestamp=6 involvedObject=2 lastTimestamp=7 message=4 metadata=1 reason=3 related=13
  reportingComponent=14 reportingInstance=15 series=11 source=5 type=9
EventSeries count=1 lastObservedTime=2
EventSource component=1 host=2
GroupEvent action=6 deprecatedCount=15 deprecatedFirstTimestamp=13 deprecatedLastTimestamp=14 deprecatedSource=12 eventTime=2 metadata=1
  note=10 reason=7 regarding=8 related=9 reportingController=4 reportingInstance=5 series=3 type=11
NetworkPolicy metadata=1 spec=2
NetworkPolicySpec egress=3 ingress=2 podSelector=1 policyTypes=4
NetworkPolicyIngressRule from=2 ports=1
NetworkPolicyEgressRule ports=1 to=2
NetworkPolicyPeer ipBlock=3 namespaceSelector=2 podSelector=1
IPBlock cidr=1 except=2
NetworkPolicyPort endPort=3* port=2 protocol=1*
EndpointSlice addressType=4 endpoints=2 metadata=1 ports=3
Endpoint addresses=1 conditions=2 deprecatedTopology=5 hostname=3* nodeName=6* targetRef=4 zone=7*
EndpointConditions ready=1* serving=2* terminating=3*
DiscoveryPort appProtocol=4* name=1* port=3* protocol=2*
Lease metadata=1 spec=2
LeaseSpec acquireTime=3* holderIdentity=1* leaseDurationSeconds=2* leaseTransitions=5* preferredHolder=7* renewTime=4* strategy=6*
Deployment metadata=1 spec=2 status=3
DeploymentSpec minReadySeconds=5 paused=7 progressDeadlineSeconds=9* replicas=1* revisionHistoryLimit=6* selector=2 template=3
ReplicaSet metadata=1 spec=2 status=3
ReplicaSetSpec minReadySeconds=4 replicas=1* selector=2 template=3
DaemonSet metadata=1 spec=2 status=3
DaemonSetSpec minReadySeconds=4 revisionHistoryLimit=6* selector=1 template=2
StatefulSet metadata=1 spec=2 status=3
StatefulSetSpec minReadySeconds=9 ordinals=11 podManagementPolicy=6 replicas=1* revisionHistoryLimit=8* selector=2 serviceName=5 template=3
StatefulSetOrdinals start=1
Role metadata=1 rules=2
ClusterRole metadata=1 rules=2
PolicyRule apiGroups=2 nonResourceURLs=5 resourceNames=4 resources=3 verbs=1
RoleBinding metadata=1 roleRef=3 subjects=2
ClusterRoleBinding metadata=1 roleRef=3 subjects=2
RoleRef apiGroup=1 kind=2 name=3
Subject apiGroup=2 kind=1 name=3 namespace=4
Eviction deleteOptions=2 metadata=1
`;
