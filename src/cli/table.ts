/** What kubectl leaves between columns, and how narrow one may get (cli-runtime `printers.GetNewTabWriter`). */
const GAP = 3;
const NARROWEST = 6;

/** A table as kubectl prints it: columns padded with blanks, the last one ragged. */
export interface Table {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** The lines of a table. `widths` of an earlier part keep the columns of a watch in line. */
export function renderTable(
  table: Table,
  options: { readonly header?: boolean; readonly widths?: readonly number[] } = {},
): string[] {
  const all = options.header === false ? table.rows : [table.header, ...table.rows];
  const cells = all.map((row) => row.map(oneLine));
  const widths = options.widths ?? columnWidths(cells);
  return cells.map((row) =>
    row
      .map((cell, index) => (index === row.length - 1 ? cell : pad(cell, widths[index] ?? 0)))
      .join('')
      .trimEnd(),
  );
}

/** How wide each column is, the gap included. */
export function columnWidths(rows: readonly (readonly string[])[]): number[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, index) => {
      widths[index] = Math.max(widths[index] ?? NARROWEST, displayWidth(oneLine(cell)) + GAP);
    });
  }
  return widths;
}

/** A later row may be wider than the table it continues: it then pushes its neighbours, but never touches them. */
function pad(cell: string, width: number): string {
  return cell + ' '.repeat(Math.max(width - displayWidth(cell), GAP));
}

/** What is printed never moves the cursor, whatever somebody put into an object. */
export function printable(text: string): string {
  return text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '�');
}

function oneLine(cell: string): string {
  const end = cell.search(/[\r\n]/);
  return printable(end === -1 ? cell : `${cell.slice(0, end)}...`).replaceAll('\t', ' ');
}

function displayWidth(text: string): number {
  return Array.from(text).length;
}
