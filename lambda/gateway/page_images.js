// The control of an image: a file, or a drawing where the model takes small grey pictures.

const DRAWABLE = 128; // Pixels of a side; nobody draws what a larger model was trained with.
const PAD = 280; // The pad's pixels, about.
const SENT = 1024; // The longest side of a picture that is made smaller.
const DRAWN_NOW = Symbol("drawn");
const PEN_STEPS = 28; // Steps of the keyboard from one side of the pad to the other.

function imageControl(field, id) {
  const drawn = field.mode === "grayscale" && Math.max(field.width, field.height) <= DRAWABLE;
  const scale = Math.max(1, Math.floor(PAD / Math.max(field.width, field.height)));
  const canvas = make("canvas", { width: field.width * scale, height: field.height * scale, hidden: !drawn });
  const file = make("input", { id, type: "file", accept: "image/*" });
  const clear = make("button", { type: "button" }, "Clear");
  const pen = make("i", { className: "pen", hidden: true });
  const picture = make("div", { className: "picture" }, canvas, pen);
  const note = make("span");
  note.setAttribute("role", "status");
  const [paper, ink] = field.inverted ? ["#fff", "#000"] : ["#000", "#fff"];
  const draw = canvas.getContext("2d");
  let value; // base64; DRAWN_NOW while the canvas has it; undefined while there is no picture
  let problem = "";
  let reads = 0; // Files that were begun: an older one that is read later is not shown.

  function blank(colour) {
    draw.fillStyle = colour;
    draw.fillRect(0, 0, canvas.width, canvas.height);
  }

  function empty(reason = "") {
    reads += 1;
    blank(paper);
    canvas.hidden = !drawn;
    picture.classList.toggle("framed", drawn);
    value = undefined;
    problem = reason;
    note.textContent = "";
  }

  function show(bitmap) {
    blank("#fff"); // what the server puts behind a transparent picture
    canvas.hidden = false;
    picture.classList.remove("framed");
    draw.imageSmoothingEnabled = bitmap.width > canvas.width;
    draw.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  }

  const changed = () => canvas.dispatchEvent(new Event("input", { bubbles: true }));

  async function read(blob) {
    empty("the picture is still being read");
    const mine = reads;
    try {
      const bitmap = await createImageBitmap(blob);
      const [sent, words] = await sentOf(blob, bitmap, field.max_bytes);
      const text = await base64(sent);
      if (mine !== reads) return;
      show(bitmap);
      [value, problem, note.textContent] = [text, "", words];
    } catch {
      if (mine === reads) empty("the browser cannot read this file as a picture; take PNG or JPEG");
    }
  }

  file.addEventListener("change", async () => {
    if (!file.files.length) return;
    changed();
    await read(file.files[0]);
  });
  clear.addEventListener("click", () => { file.value = ""; empty(); changed(); });

  if (drawn) {
    // As wide as one of the model's own pixels, and never a hair.
    draw.lineWidth = Math.max(scale, canvas.width / 14);
    draw.lineCap = draw.lineJoin = "round";
    const began = () => {
      reads += 1;
      [value, problem, file.value, note.textContent] = [DRAWN_NOW, "", "", "Your drawing is sent."];
      changed();
    };
    penControl(canvas, pen, began, (from, to) => {
      draw.strokeStyle = ink;
      draw.beginPath();
      draw.moveTo(...from);
      draw.lineTo(to[0] + 0.01, to[1]); // a line without length would not be drawn
      draw.stroke();
    });
    canvas.setAttribute("aria-label", `${field.label}: drawing. Arrow keys move the pen, Space puts it down or lifts it.`);
  } else {
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${field.label}: the picture that is sent`);
  }
  empty();

  const size = `${field.width} × ${field.height} pixels in ${field.mode === "rgb" ? "colour" : "grey"}`;
  return {
    input: file,
    parts: [picture, make("div", { className: "file" }, file, clear), make("p", { className: "hint" }, note)],
    wide: true,
    hint: drawn
      ? `Draw ${field.inverted ? "dark on light" : "light on dark"} and as large as the frame, or choose a PNG or JPEG file. The model sees ${size}.`
      : `A PNG or JPEG file. The model sees ${size}.`,
    json() {
      if (value === undefined) return undefined;
      return JSON.stringify(value === DRAWN_NOW ? canvas.toDataURL("image/png").split(",")[1] : value);
    },
    async fill(text) {
      file.value = "";
      empty();
      if (text === undefined) return;
      // What is sent is the contract's own text, whatever the browser makes of it.
      value = text;
      const mine = reads;
      const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
      const bitmap = await createImageBitmap(new Blob([bytes])).catch(() => null);
      if (bitmap && mine === reads) show(bitmap);
    },
    problem: () => problem,
  };
}

// A pen that follows a mouse, a finger, or the arrow keys. `began` is called when it comes down; `line` draws between two
// points of the canvas.
function penControl(canvas, pen, began, line) {
  let at = null; // the pen's place while it draws
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * canvas.width) / box.width, ((event.clientY - box.top) * canvas.height) / box.height];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    at = place(event);
    began();
    line(at, at);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!at) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) {
      const to = place(each);
      line(at, to);
      at = to;
    }
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => { at = null; });
  }

  let [x, y] = [canvas.width / 2, canvas.height / 2];
  let down = false;
  const step = Math.max(canvas.width, canvas.height) / PEN_STEPS;
  const showPen = () => {
    pen.hidden = document.activeElement !== canvas || !canvas.matches(":focus-visible");
    pen.classList.toggle("down", down);
    pen.style.left = `${(x * 100) / canvas.width}%`;
    pen.style.top = `${(y * 100) / canvas.height}%`;
  };
  const MOVES = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.addEventListener("focus", showPen);
  canvas.addEventListener("blur", () => { down = false; showPen(); });
  canvas.addEventListener("keydown", (event) => {
    const move = MOVES[event.key];
    if (event.key !== " " && !move) return;
    event.preventDefault();
    if (move) {
      const from = [x, y];
      x = Math.min(canvas.width, Math.max(0, x + move[0]));
      y = Math.min(canvas.height, Math.max(0, y + move[1]));
      if (down) line(from, [x, y]);
    } else {
      down = !down;
      if (down) {
        began();
        line([x, y], [x, y]);
      }
    }
    showPen();
  });
}

// What is sent of a file, and what to say of it: the file itself, unless the gateway refuses its size or its format.
async function sentOf(file, bitmap, maxBytes) {
  const size = `${bitmap.width} × ${bitmap.height} pixels`;
  const accepted = /^image\/(png|jpeg)$/.test(file.type) && bitmap.width * bitmap.height <= 2 ** 22;
  if (accepted && file.size <= maxBytes) return [file, size];
  for (let side = Math.min(SENT, Math.max(bitmap.width, bitmap.height)); side >= 1; side = Math.floor(side / 2)) {
    const scale = side / Math.max(bitmap.width, bitmap.height);
    const canvas = make("canvas", { width: Math.ceil(bitmap.width * scale), height: Math.ceil(bitmap.height * scale) });
    const draw = canvas.getContext("2d");
    draw.fillStyle = "#fff";
    draw.fillRect(0, 0, canvas.width, canvas.height);
    draw.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.9));
    if (blob.size <= maxBytes) return [blob, `${size}, sent as ${canvas.width} × ${canvas.height}`];
  }
  throw new Error("no size fits");
}

function base64(blob) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.split(",")[1]);
    reader.onerror = failed;
    reader.readAsDataURL(blob);
  });
}
