/** Schema tables of the volumes a Pod can have. The notation is in schema-table.ts. */
export const volumesTable = `
@ io.k8s.api.core.v1
Volume
  awsElasticBlockStore any
  azureDisk any
  azureFile any
  cephfs any
  cinder any
  fc any
  flexVolume any
  flocker any
  gcePersistentDisk any
  gitRepo any
  glusterfs any
  photonPersistentDisk any
  portworxVolume any
  quobyte any
  rbd any
  scaleIO any
  storageos any
  vsphereVolume any
  configMap ConfigMapVolumeSource
  csi CSIVolumeSource
  downwardAPI DownwardAPIVolumeSource
  emptyDir EmptyDirVolumeSource
  ephemeral any
  hostPath HostPathVolumeSource
  image ImageVolumeSource
  iscsi any
  name string!
  nfs NFSVolumeSource
  persistentVolumeClaim PersistentVolumeClaimVolumeSource
  projected ProjectedVolumeSource
  secret SecretVolumeSource
ConfigMapVolumeSource
  defaultMode int32 =420
  items []KeyToPath atomic
  name string
  optional bool
KeyToPath
  key string!
  mode int32
  path string!
CSIVolumeSource
  driver string!
  fsType string
  nodePublishSecretRef LocalObjectReference
  readOnly bool
  volumeAttributes map string
DownwardAPIVolumeSource
  defaultMode int32 =420
  items []DownwardAPIVolumeFile atomic
DownwardAPIVolumeFile
  fieldRef ObjectFieldSelector
  mode int32
  path string!
  resourceFieldRef ResourceFieldSelector
EmptyDirVolumeSource
  medium string
  sizeLimit quantity
HostPathVolumeSource
  path string!
  type string
ImageVolumeSource
  pullPolicy string
  reference string
NFSVolumeSource
  path string!
  readOnly bool
  server string!
PersistentVolumeClaimVolumeSource
  claimName string!
  readOnly bool
ProjectedVolumeSource
  defaultMode int32 =420
  sources []VolumeProjection atomic
VolumeProjection
  clusterTrustBundle any
  configMap ConfigMapVolumeSource
  downwardAPI DownwardAPIVolumeSource
  secret ConfigMapVolumeSource
  serviceAccountToken ServiceAccountTokenProjection
ServiceAccountTokenProjection
  audience string
  expirationSeconds int64 =3600
  path string!
SecretVolumeSource
  defaultMode int32 =420
  items []KeyToPath atomic
  optional bool
  secretName string
`;
