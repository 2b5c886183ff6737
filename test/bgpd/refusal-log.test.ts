import { expect } from 'chai';
import { RefusalLog } from '../../src/bgpd/refusal-log.js';

describe('bgpd refusal-log', () => {
  it('names the first routes of each reason with what to do, and counts the rest', () => {
    const lines: string[] = [];
    const write = (_: object, text: string): void => void lines.push(text);
    const log = new RefusalLog({ info: write, error: write } as unknown as ConstructorParameters<typeof RefusalLog>[0]);
    for (let i = 0; i < 1000; i++)
      log.tell({ type: 'refused', prefix: `10.0.${i}.0/24`, reason: 'Operation not permitted (EPERM)' });
    log.tell({ type: 'refused', prefix: '10.1.0.0/24', reason: 'No route to host (EHOSTUNREACH)' });
    for (let i = 0; i < 7; i++) log.tell({ type: 'refused', prefix: `10.0.${i}.0/24`, reason: undefined });
    log.sum();
    expect(lines).to.have.length(5 + 1 + 5 + 2);
    expect(lines[0]).to.equal(
      'the kernel refuses the route to 10.0.0.0/24: Operation not permitted (EPERM); writing routes needs root or ' +
        'CAP_NET_ADMIN, or leave installRoutes out',
    );
    expect(lines[5]).to.equal('the kernel refuses the route to 10.1.0.0/24: No route to host (EHOSTUNREACH)');
    expect(lines.slice(-2)).to.deep.equal([
      'the kernel refuses 995 more routes: Operation not permitted (EPERM)',
      'the kernel no longer refuses 2 more routes',
    ]);
    log.tell({ type: 'refused', prefix: '10.2.0.0/24', reason: 'Operation not permitted (EPERM)' });
    expect(lines.at(-1), 'named again in the next interval').to.contain('10.2.0.0/24');
    log.sum();
  });

  it('tells who keeps taking routes away from what the kernel refuses', () => {
    const lines: string[] = [];
    const write = (_: object, text: string): void => void lines.push(text);
    const log = new RefusalLog({ info: write, error: write } as unknown as ConstructorParameters<typeof RefusalLog>[0]);
    for (let i = 0; i < 7; i++)
      log.tell({ type: 'contested', prefix: `10.0.${i}.0/24`, reason: `put back ${i} times` });
    log.tell({ type: 'contested', prefix: '10.0.0.0/24', reason: undefined });
    log.sum();
    expect(lines).to.have.length(5 + 1 + 1);
    expect(lines[1]).to.equal('somebody keeps changing or removing our route to 10.0.1.0/24: put back 1 times');
    expect(lines.slice(-2)).to.deep.equal([
      'nobody takes away the route to 10.0.0.0/24 any more',
      'somebody keeps changing or removing 2 more of our routes',
    ]);
  });
});
