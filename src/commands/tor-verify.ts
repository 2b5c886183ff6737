/** `tortie tor-verify`: on a node, whether its routers offer and announce what was meant. */
import { Option, type Command } from 'commander';
import { UserError } from '../errors.js';
import { print } from '../print.js';
import { TOR_CHECKS } from '../tor/verify.js';

interface TorVerifyFlags {
  readonly runDir: string;
  readonly peer?: readonly string[];
  readonly output: 'text' | 'json';
}

/** How src/topology calls sessions of the mesh. */
const MESH = /^mesh-/;

export function registerTorVerifyCommand(program: Command): void {
  program
    .command('tor-verify')
    .description("on a node: what routers' OPENs and routes say, against what was intended; changes nothing")
    .option('--run-dir <dir>', 'where bgpd.sock is', process.env['TORTIE_RUN_DIR'] ?? '/run/tortie')
    .option(
      '--peer <peer>',
      'name or address as `tortie bgp summary` shows; may be repeated (default: all but the mesh)',
      (value: string, before: readonly string[] = []) => [...before, value],
    )
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addHelpText(
      'after',
      `
Examples:
  tortie tor-verify
  tortie tor-verify --peer rack-a -o json
  kubectl exec -n tortie-system POD -c bgpd -- tortie tor-verify

Checks:
${Object.entries(TOR_CHECKS)
  .map(([name, what]) => `  ${name.padEnd(18)} ${what}`)
  .join('\n')}

The other direction, what the router needs: tortie tor-config.
Exit codes: 0 as intended (notes apart), 1 errors or warnings, no such peer, or bgpd does not answer, 2 wrong options.`,
    )
    .action(verify);
}

async function verify({ runDir, peer: asked, output }: TorVerifyFlags): Promise<void> {
  const { BgpdClient } = await import('../bgpd/client.js');
  const { verifyTors } = await import('../tor/verify.js');
  const { bySeverity, formatFindings, isWell } = await import('../doctor/report.js');
  const client = new BgpdClient(runDir);
  const config = await client.get<Parameters<typeof verifyTors>[0]>('/v1/config');
  const { neighbors } = await client.get<{ readonly neighbors: Parameters<typeof verifyTors>[1] }>('/v1/neighbors');
  const { peers, findings } = verifyTors(config, neighbors, ({ name, address }) =>
    asked === undefined ? !MESH.test(name) : asked.includes(name) || asked.includes(address),
  );
  const missing = (asked ?? []).filter(
    (each) => !neighbors.some(({ name, address }) => each === name || each === address),
  );
  if (missing.length > 0) throw new UserError(`There is no peer ${missing.join(', ')}; see \`tortie bgp summary\``);
  if (peers.length === 0)
    throw new UserError('There is no router to verify: bgpd has no session but those of the mesh');
  const ordered = bySeverity(findings, Object.keys(TOR_CHECKS));
  print(
    output === 'json'
      ? `${JSON.stringify({ peers, findings: ordered }, undefined, 2)}\n`
      : `${formatFindings(ordered, peers)}\n`,
  );
  process.exitCode = isWell(ordered) ? 0 : 1;
}
