"""The operators that a SavedModel may be made of: those that turn tensors into tensors, and nothing else.

A graph is a program. TensorFlow has operators that read and write files (``ReadFile``, ``Save``), call Python
(``PyFunc``, ``EagerPyFunc``), open sockets or start other graphs by name; none of them is here. The list is fixed on
purpose: https://github.com/tensorflow/tensorflow/blob/master/SECURITY.md says that untrusted models are untrusted code.
"""

from __future__ import annotations

import re

_COMPUTING = frozenset(
    """
    Abs Add AddN AddV2 All Any ArgMax ArgMin AvgPool BatchMatMul BatchMatMulV2 BatchMatMulV3 BiasAdd
    BroadcastTo Cast Ceil ClipByValue Concat ConcatV2 Const Conv1D Conv2D Conv2DBackpropInput Conv3D
    Cos Cumsum DepthwiseConv2dNative Einsum Elu Equal Erf Erfc Exp ExpandDims Fill Floor FloorDiv
    FloorMod FusedBatchNormV3 Gather GatherNd GatherV2 Gelu Greater GreaterEqual Identity IdentityN
    If Inv IsFinite IsInf IsNan L2Loss LeakyRelu Less LessEqual Log Log1p LogSoftmax LogicalAnd
    LogicalNot LogicalOr MatMul Max MaxPool Maximum Mean Min Minimum MirrorPad Mul Neg NoOp
    NotEqual OneHot OnesLike Pack Pad PadV2 PartitionedCall Placeholder PlaceholderWithDefault Pow
    Prod Range Rank ReadVariableOp RealDiv Reciprocal Relu Relu6 Reshape ResizeBilinear
    ResizeNearestNeighbor ResourceGather ReverseV2 Round Rsqrt Select SelectV2 Selu Shape ShapeN
    Sigmoid Sign Sin Size Slice Softmax Softplus Softsign Split SplitV Sqrt Square SquaredDifference
    Squeeze StatefulPartitionedCall StatelessIf StatelessWhile StopGradient StridedSlice Sub Sum Tan
    Tanh TensorListFromTensor TensorListGetItem TensorListReserve TensorListSetItem TensorListStack
    Tile TopKV2 Transpose Unpack VarHandleOp VarIsInitializedOp While Xdivy ZerosLike
    """.split()  # noqa: SIM905 - a hundred names are read as words
)
# What TensorFlow itself puts beside every SavedModel to save and restore its variables, as functions that nothing
# which is served calls: this program restores variables in another way.
_CHECKPOINTING = re.compile(r"__inference__traced_(save|restore)_[0-9]+")
_CHECKPOINT_OPERATORS = frozenset(
    """
    AssignVariableOp DisableCopyOnRead MergeV2Checkpoints RestoreV2 SaveV2 ShardedFilename
    StringJoin StaticRegexFullMatch
    """.split()  # noqa: SIM905 - a hundred names are read as words
)


def operators_of(saved_model: bytes) -> set[str]:
    """The operators of the SavedModel whose ``saved_model.pb`` this is.

    Those of the functions that save and restore variables are left out, as far as no other function calls these.
    Raises whatever protobuf raises.
    """
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    found: set[str] = set()
    for meta_graph in SavedModel.FromString(saved_model).meta_graphs:
        functions = {function.signature.name: function.node_def for function in meta_graph.graph_def.library.function}
        apart = {name for name in functions if _CHECKPOINTING.fullmatch(name)}
        called = {
            attribute.func.name
            for name, nodes in functions.items()
            if name not in apart
            for node in nodes
            for attribute in node.attr.values()
            if attribute.func.name
        }
        for name, nodes in functions.items():
            operators = {node.op for node in nodes} - functions.keys()
            found |= operators - _CHECKPOINT_OPERATORS if name in apart - called else operators
        # The graph outside of the functions is for loaders of another kind, and calls the two above.
        found |= {node.op for node in meta_graph.graph_def.node} - functions.keys() - _CHECKPOINT_OPERATORS
    return found


def unknown_operators(operators: set[str]) -> list[str]:
    """Those of ``operators`` that are not known to compute and nothing else, sorted."""
    return sorted(operators - _COMPUTING)
