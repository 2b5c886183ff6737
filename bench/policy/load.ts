export async function runLoad(_: { readonly backend: string; readonly policies: number; readonly pods: number; readonly isJson: boolean }): Promise<number> {
  throw new Error('not yet');
}
