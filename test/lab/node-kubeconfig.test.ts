import { expect } from 'chai';
import { parse } from 'yaml';
import { nodeKubeconfig } from '../../src/lab/node-kubeconfig.js';

const kubeconfig = (server: string, more = ''): string => `
apiVersion: v1
kind: Config
current-context: two
contexts:
  - { name: one, context: { cluster: c1, user: u1 } }
  - { name: two, context: { cluster: c2, user: u2 } }
clusters:
  - { name: c1, cluster: { server: "https://wrong" } }
  - { name: c2, cluster: { server: "${server}", certificate-authority: ca.crt ${more} } }
users:
  - { name: u1, user: { token: wrong } }
  - { name: u2, user: { client-certificate: /abs/me.crt, client-key: keys/me.key } }
`;

interface Written {
  readonly clusters: readonly { readonly cluster: Readonly<Record<string, string>> }[];
  readonly users: readonly { readonly user: Readonly<Record<string, string>> }[];
}

describe('lab/node-kubeconfig', () => {
  it("sends a node to its own loopback and keeps checking the server's real name", () => {
    const { text, server } = nodeKubeconfig(kubeconfig('https://api.example:6444/prefix'), '/home/me', 6443);
    const { clusters, users } = parse(text) as Written;
    expect(server).to.deep.equal({ host: 'api.example', port: 6444 });
    expect(clusters[0]?.cluster).to.deep.equal({
      server: 'https://127.0.0.1:6443/prefix',
      'certificate-authority': '/home/me/ca.crt',
      'tls-server-name': 'api.example',
    });
    expect(users[0]?.user).to.deep.equal({ 'client-certificate': '/abs/me.crt', 'client-key': '/home/me/keys/me.key' });
  });

  it('keeps a server name that is given, and needs none for the loopback or plain HTTP', () => {
    const nameOf = (source: string): string | undefined =>
      (parse(nodeKubeconfig(source, '/', 1).text) as Written).clusters[0]?.cluster['tls-server-name'];
    expect(nameOf(kubeconfig('https://10.0.0.1', ', tls-server-name: kubernetes'))).to.equal('kubernetes');
    expect(nameOf(kubeconfig('https://127.0.0.1:6443'))).to.equal(undefined);
    expect(nameOf(kubeconfig('http://api:8080'))).to.equal(undefined);
  });

  it('knows the default ports and IPv6 servers', () => {
    expect(nodeKubeconfig(kubeconfig('https://[fd00::1]'), '/', 1).server).to.deep.equal({
      host: 'fd00::1',
      port: 443,
    });
    expect(nodeKubeconfig(kubeconfig('http://api'), '/', 1).server).to.deep.equal({ host: 'api', port: 80 });
  });

  it('refuses a kubeconfig without a usable context', () => {
    expect(() => nodeKubeconfig('current-context: none\n', '/', 1)).to.throw(
      'expected a current-context with a cluster and its server',
    );
  });
});
