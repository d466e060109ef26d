// Differences between two texts, by words (Chinese and Japanese: by characters).
//
// E. W. Myers, "An O(ND) Difference Algorithm and Its Variations", Algorithmica 1 (1986), the greedy version, which keeps
// the furthest points of each round. Texts that differ in more than MAX_EDITS units are not aligned: nobody reads that.

const MAX_EDITS = 1500;

/** [kind, text] of the parts: "same", "old" (in the first only), "new" (in the second only); null: too different. */
function diffTexts(first, second) {
  const a = unitsOf(first), b = unitsOf(second);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const edits = shortestEdit(a.slice(start, a.length - end), b.slice(start, b.length - end));
  if (edits === null) return null;
  const parts = [];
  const add = (kind, unit) => {
    if (parts.length && parts[parts.length - 1][0] === kind) parts[parts.length - 1][1] += unit;
    else parts.push([kind, unit]);
  };
  for (const unit of a.slice(0, start)) add("same", unit);
  for (const [kind, unit] of edits) add(kind, unit);
  for (const unit of end ? a.slice(a.length - end) : []) add("same", unit);
  return parts;
}

function shortestEdit(a, b) {
  const most = Math.min(a.length + b.length, MAX_EDITS);
  const reach = new Int32Array(2 * most + 3);
  const rounds = [];
  for (let d = 0; d <= most; d++) {
    rounds.push(reach.slice(most - d, most + d + 3));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && reach[most + k] < reach[most + k + 2]);
      let x = down ? reach[most + k + 2] : reach[most + k] + 1;
      let y = x - k;
      while (x < a.length && y < b.length && a[x] === b[y]) { x++; y++; }
      reach[most + k + 1] = x;
      if (x >= a.length && y >= b.length) return walkBack(a, b, rounds, d);
    }
  }
  return null;
}

/** The edits of the found path; round d holds diagonals -d-1 .. d+1 from its index 0 on. */
function walkBack(a, b, rounds, last) {
  const edits = [];
  let x = a.length, y = b.length;
  for (let d = last; d >= 0; d--) {
    const reach = rounds[d], at = (k) => reach[k + d + 1];
    const k = x - y;
    const down = k === -d || (k !== d && at(k - 1) < at(k + 1));
    const before = d === 0 ? 0 : down ? at(k + 1) : at(k - 1) ;
    const startX = d === 0 ? 0 : before, startY = d === 0 ? 0 : before - (down ? k + 1 : k - 1);
    while (x > startX && y > startY && a[x - 1] === b[y - 1]) { x--; y--; edits.push(["same", a[x]]); }
    if (d === 0) break;
    if (down) { y--; edits.push(["new", b[y]]); } else { x--; edits.push(["old", a[x]]); }
  }
  return edits.reverse();
}
