/**
 * This process's sockets and namespaces, for tests that something leaks none. Counting all descriptors would count what other tests of
 * the same process left to threads and children, too: pipes and files that close when it suits them.
 */
import { readdirSync, readlinkSync } from 'node:fs';

/** "17 socket:[4711]", "18 net:[4026531840]". */
export function ownDescriptors(): readonly string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    let target: string;
    try {
      target = readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return []; // The one of this very listing.
    }
    return /^(socket|net):/.test(target) ? [`${fd} ${target}`] : [];
  });
}

/** What is there now and was not before. */
export function newDescriptors(before: readonly string[]): readonly string[] {
  return ownDescriptors().filter((one) => !before.includes(one));
}
