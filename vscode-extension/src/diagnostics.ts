// The daemon's findings in files, where the user writes: as VS Code's own problems.

import * as vscode from "vscode";
import type { FileProblem, WorkspaceStatus } from "./generated/protocol";

/** The problems of this window's folders. */
export class Diagnostics implements vscode.Disposable {
  private readonly collection = vscode.languages.createDiagnosticCollection("burrow");

  dispose(): void {
    this.collection.dispose();
  }

  /** Shows what is wrong in the files of `workspaces`, in place of what was. */
  show(workspaces: readonly WorkspaceStatus[]): void {
    const problems = workspaces.flatMap((workspace) => workspace.problems);
    const files = [...new Set(problems.map(({ path }) => path))];
    this.collection.clear();
    this.collection.set(files.map((path) => [vscode.Uri.file(path), problems.filter((problem) => problem.path === path).map(diagnostic)]));
  }
}

function diagnostic({ line, column, code, message, hint }: FileProblem): vscode.Diagnostic {
  // From the place to the end of its line: the daemon tells where a value begins.
  const start = new vscode.Position(line - 1, column - 1);
  const text = hint === null ? message : `${message}\n${hint}`;
  const shown = new vscode.Diagnostic(new vscode.Range(start, start.with({ character: column + 1000 })), text, vscode.DiagnosticSeverity.Error);
  shown.source = "Burrow";
  shown.code = code;
  return shown;
}
