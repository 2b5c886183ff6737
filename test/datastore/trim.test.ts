import { expect } from 'chai';
import type { EndpointSlice, Service } from '../../src/api/core.js';
import { trim } from '../../src/datastore/trim.js';

describe('datastore/trim', () => {
  it('keeps of a Service what is asked of proxies, routers and load balancers', () => {
    const service: Service = {
      metadata: {
        name: 'web',
        namespace: 'shop',
        labels: { 'service.kubernetes.io/service-proxy-name': 'other' },
        annotations: {
          'kubectl.kubernetes.io/last-applied-configuration': '{}',
          'metallb.io/loadBalancerIPs': '192.0.2.1',
          'projectcalico.org/ipv4pools': '["lb"]',
          'service.kubernetes.io/topology-mode': 'Auto',
        },
        managedFields: [],
      },
      spec: { type: 'LoadBalancer', clusterIP: '10.96.0.1', selector: { app: 'web' } },
      status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] }, conditions: [] },
    };
    expect(trim('services', service)).to.deep.equal({
      metadata: {
        name: 'web',
        namespace: 'shop',
        labels: { 'service.kubernetes.io/service-proxy-name': 'other' },
        annotations: {
          'metallb.io/loadBalancerIPs': '192.0.2.1',
          'projectcalico.org/ipv4pools': '["lb"]',
          'service.kubernetes.io/topology-mode': 'Auto',
        },
      },
      spec: { type: 'LoadBalancer', clusterIP: '10.96.0.1', selector: { app: 'web' } },
      status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } },
    });
  });

  it('keeps of an EndpointSlice all but what is for nobody, also where the server sends no endpoints', () => {
    const slice: EndpointSlice = {
      metadata: { name: 'web-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      endpoints: [
        {
          addresses: ['10.65.0.1'],
          conditions: { ready: true },
          nodeName: 'node1',
          zone: 'a',
          targetRef: { kind: 'Pod', namespace: 'shop', name: 'web-0', uid: 'u', resourceVersion: '7' },
        },
      ],
      ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
    };
    const [endpoint] = slice.endpoints;
    expect(trim('endpointSlices', slice)).to.deep.equal({
      ...slice,
      endpoints: [{ ...endpoint, targetRef: { kind: 'Pod', namespace: 'shop', name: 'web-0' } }],
    });
    const empty = { ...slice, endpoints: null } as unknown as EndpointSlice;
    expect(trim('endpointSlices', empty).endpoints).to.deep.equal([]);
  });
});
