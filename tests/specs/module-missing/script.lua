require("lib.nowhere")
